// What a machine can see of a page's structure: each line is something that is wrong.
() => {
  const wrong = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (node) => (node.getAttribute("aria-label") ?? node.textContent).trim();
  if (document.documentElement.lang !== "en") wrong.push("no language");
  if (!document.title) wrong.push("no title");
  if (all("main").length !== 1) wrong.push("not one main");
  if (all("h1").length !== 1) wrong.push("not one h1");
  if (document.querySelector("a.skip")?.getAttribute("href") !== "#main") wrong.push("no skip link");
  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const now = Number(heading.tagName[1]);
    if (heading.closest("dialog")) continue;
    if (now > level + 1) wrong.push(`heading jumps to ${heading.textContent}`);
    if (!heading.textContent.trim()) wrong.push("empty heading");
    level = now;
  }
  const ids = all("[id]").map((node) => node.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id ${id} twice`);
  for (const name of ["aria-labelledby", "for"])
    for (const node of all(`[${name}]`))
      if (!document.getElementById(node.getAttribute(name))) wrong.push(`${name} leads nowhere`);
  for (const field of all("input, textarea, select"))
    if (!field.labels.length && !field.getAttribute("aria-label")) wrong.push("field without label");
  for (const node of all("a, button, summary")) if (!text(node)) wrong.push(`${node.tagName} without name`);
  for (const link of all("a")) if (!link.getAttribute("href")) wrong.push("link that leads nowhere");
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) wrong.push("order of focus changed");
  for (const node of all("section, nav, article.item, [role=group], dialog"))
    if (!node.getAttribute("aria-label") && !node.getAttribute("aria-labelledby")) wrong.push(`${node.tagName} without name`);
  for (const node of all("svg, img")) if (!node.closest("[aria-hidden=true]") && !text(node)) wrong.push("picture without name");
  for (const cell of all("th")) if (!cell.scope) wrong.push("heading of a table without scope");
  for (const node of all("button:not(.plain), a.button, textarea")) {
    const box = node.getBoundingClientRect();
    if (box.height && box.height < 24) wrong.push(`${node.textContent} is too small to hit`);
  }
  if (!all("[role=status]").length && document.body.dataset.page !== "nothing") wrong.push("no status");
  return [...new Set(wrong)];
}
