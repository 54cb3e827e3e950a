"use strict";
(() => {
  const question = document.querySelector("[data-remember]");
  if (question) {
    const name = "finegrade.question";
    question.value ||= sessionStorage.getItem(name) ?? "";
    question.form.addEventListener("submit", () => sessionStorage.setItem(name, question.value));
  }

  // An open page is fetched again, and what changed is put in its place.
  const main = document.querySelector("main[data-every]");
  if (!main) return;
  const served = new WeakMap(); // a node: how the service sent it, whatever became of it here
  const remember = (part) => {
    for (const node of [part, ...part.children]) served.set(node, node.outerHTML);
  };
  const update = (old, now) => {
    const html = now.outerHTML;
    if (served.get(old) === html) return;
    const [mine, theirs] = [[...old.children], [...now.children]];
    const alike = mine.length === theirs.length && mine.every((one, i) => one.id && one.id === theirs[i].id);
    if (old.getAttribute("role") === "status") {
      old.textContent = now.textContent; // the same node, so that it is read out
    } else if (old.hasAttribute("data-part") && mine.length && alike) {
      mine.forEach((one, i) => update(one, theirs[i]));
    } else {
      remember(now);
      old.replaceWith(now);
      return;
    }
    served.set(old, html);
  };
  const look = async () => {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    main.dataset.every = page.querySelector("main").dataset.every;
    for (const now of page.querySelectorAll("[data-part]")) {
      const old = document.getElementById(now.id);
      if (!old) return location.reload(); // the page was empty
      update(old, now);
    }
  };
  const whenSeen = () => document.hidden || look().catch(() => {}); // it may be starting again
  const wait = () => setTimeout(async () => (await whenSeen(), wait()), 1000 * main.dataset.every);
  document.querySelectorAll("[data-part]").forEach(remember);
  document.addEventListener("visibilitychange", whenSeen);
  wait();
})();
