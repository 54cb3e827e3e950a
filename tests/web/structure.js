// What a machine can see of a page, by the rules that axe-core would apply: each line is something
// that is wrong. Folded parts are opened first, so that what they hold is looked at, too.
() => {
  const wrong = [];
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const text = (node) => (node.getAttribute("aria-label") ?? node.textContent).trim();
  const named = (node) => `${node.tagName.toLowerCase()} "${text(node).slice(0, 40)}"`;
  const shown = (node) => node.checkVisibility() && node.getClientRects().length > 0;
  for (const folded of all("details")) folded.open = true;

  // The page as a whole: language, title, landmarks, headings.
  if (document.documentElement.lang !== "en") wrong.push("no language");
  if (!document.title) wrong.push("no title");
  if (/user-scalable=no|maximum-scale/.test(document.querySelector("meta[name=viewport]").content)) wrong.push("no zoom");
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
  if (!all("[role=status]").length && document.body.dataset.page !== "nothing") wrong.push("no status");
  const landmarks = all("nav, section, form").map((node) => [node.tagName, name(node)].join(" "));
  function name(node) {
    const by = node.getAttribute("aria-labelledby");
    return node.getAttribute("aria-label") ?? (by ? document.getElementById(by)?.textContent : "") ?? "";
  }
  for (const mark of landmarks) if (landmarks.indexOf(mark) !== landmarks.lastIndexOf(mark) && !mark.endsWith(" ")) wrong.push(`two landmarks are ${mark}`);

  // Names, labels and what ARIA attributes lead to.
  const ids = all("[id]").map((node) => node.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id ${id} twice`);
  for (const attribute of ["aria-labelledby", "for", "list"])
    for (const node of all(`[${attribute}]`))
      if (!document.getElementById(node.getAttribute(attribute))) wrong.push(`${attribute} leads nowhere`);
  for (const field of all("input:not([type=hidden]), textarea, select"))
    if (!field.labels.length && !field.getAttribute("aria-label")) wrong.push("field without label");
  for (const node of all("a, button, summary")) if (!text(node)) wrong.push(`${node.tagName} without name`);
  for (const link of all("a")) if (!link.getAttribute("href")) wrong.push("link that leads nowhere");
  for (const link of all("a[href^='#']")) if (!document.getElementById(link.hash.slice(1))) wrong.push(`${link.hash} is not there`);
  for (const node of all("section, nav, article.item, [role=group], dialog"))
    if (!name(node).trim()) wrong.push(`${node.tagName} without name`);
  for (const node of all("svg, img")) if (!node.closest("[aria-hidden=true]") && !text(node)) wrong.push("picture without name");
  const known = ["label", "labelledby", "hidden", "current", "pressed", "keyshortcuts", "haspopup"];
  const roles = ["status", "alert", "group"];
  for (const node of all("*")) {
    for (const { name: attribute } of node.attributes)
      if (attribute.startsWith("aria-") && !known.includes(attribute.slice(5))) wrong.push(`${attribute} is not known`);
    if (node.role && !roles.includes(node.role)) wrong.push(`role ${node.role}`);
    if (node.hasAttribute("aria-pressed") && node.tagName !== "BUTTON") wrong.push("pressed, and no button");
  }

  // Lists and tables hold what belongs into them; controls stand beside each other.
  for (const list of all("ul, ol")) for (const child of list.children) if (child.tagName !== "LI") wrong.push(`${child.tagName} in a list`);
  for (const item of all("li")) if (!/^[UO]L$/.test(item.parentElement.tagName)) wrong.push("item outside a list");
  for (const list of all("dl")) for (const child of list.children) if (!/^D[TD]$/.test(child.tagName)) wrong.push(`${child.tagName} in a dl`);
  for (const cell of all("th")) if (!cell.scope || !text(cell)) wrong.push("heading of a table without scope or words");
  const controls = "a, button, input, select, textarea, summary";
  for (const node of all("a, button, summary, label:has(button, a)")) if (node.querySelector(controls)) wrong.push(`control in ${named(node)}`);
  for (const node of all("[aria-hidden=true]")) if (node.querySelector(controls)) wrong.push("hidden control");

  // Focus: in the order of the page, seen, and wherever something scrolls.
  for (const node of all("[tabindex]")) if (node.tabIndex > 0) wrong.push("order of focus changed");
  const before = document.activeElement;
  for (const node of all(`${controls}, [tabindex]`).filter((one) => shown(one) && one.type !== "hidden")) {
    node.focus({ preventScroll: true });
    const style = getComputedStyle(node);
    if (document.activeElement !== node) wrong.push(`${named(node)} takes no focus`);
    else if (style.outlineStyle !== "solid" || parseFloat(style.outlineWidth) < 2) wrong.push(`focus of ${named(node)} is not seen`);
  }
  before?.focus({ preventScroll: true });
  for (const node of all("main *"))
    if (/auto|scroll/.test(getComputedStyle(node).overflowY) && node.scrollHeight > node.clientHeight + 1)
      if (node.tabIndex < 0 && !node.querySelector(controls)) wrong.push(`${named(node)} scrolls without keys`);

  // Size of what is hit (WCAG 2.5.8): 24 by 24, or enough room around; links in sentences may be smaller.
  const targets = all(controls).filter((node) => shown(node) && node.type !== "hidden" && !node.matches(".skip"));
  const boxes = targets.map((node) => [node, node.labels?.[0]?.contains(node) ? node.labels[0].getBoundingClientRect() : node.getBoundingClientRect()]);
  for (const [node, box] of boxes) {
    if ((box.width >= 24 && box.height >= 24) || node.matches("p a, li a, td a, th a, h1 a, h2 a, h3 a")) continue;
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const near = boxes.some(([other, it]) => other !== node && Math.max(it.left - x, x - it.right, it.top - y, y - it.bottom) < 12);
    if (near) wrong.push(`${named(node)} is too small to hit`);
  }

  // Contrast of every text that is seen (WCAG 1.4.3), over all that lies behind it.
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [r2, g2, b2]) => [r, g, b].map((part, k) => part * a + [r2, g2, b2][k] * (1 - a));
  const behind = (node) => {
    if (!node) return [255, 255, 255];
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour[3] === 1 ? colour : over(colour, behind(node.parentElement));
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => part / 255).map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(node) || node.matches(".unseen, .skip, script, noscript *, option")) continue;
    if (!node.closest("header, main, footer, dialog")) wrong.push(`${named(node)} is in no landmark`);
    const style = getComputedStyle(node);
    const back = behind(node);
    const [one, other] = [luminance(over(parse(style.color), back)), luminance(back)].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if ((one + 0.05) / (other + 0.05) < (large ? 3 : 4.5)) wrong.push(`${named(node)} in ${style.color} cannot be read on ${back}`);
  }
  return [...new Set(wrong)];
}
