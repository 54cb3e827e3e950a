"use strict";
(() => {
  const body = document.body;
  const state = document.getElementById("state");
  const every = (selector, root = document) => [...root.querySelectorAll(selector)];
  const clock = (at) => new Date(at).toTimeString().slice(0, 8);
  const post = (address, value) =>
    fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(value),
      keepalive: true, // the page may be left meanwhile
    });
  const say = (text, how = "") => {
    if (!state) return;
    state.textContent = text;
    state.className = how;
  };
  const detail = async (answer) => {
    try {
      return (await answer.json()).detail ?? `error ${answer.status}`;
    } catch {
      return `error ${answer.status}`;
    }
  };

  // --- entering: the token is behind the "#" -----------------------------------------------------
  if (body.dataset.page === "enter") {
    const token = location.hash.slice(1);
    if (!token) return;
    history.replaceState(null, "", location.pathname);
    post("/enter", { token })
      .then(async (answer) => {
        // Who is in already, and opens a used link again, is not turned away.
        if (answer.ok || document.querySelector("#entering a")) location.replace("/");
        else document.getElementById("entering").textContent = await detail(answer);
      })
      .catch(() => (document.getElementById("entering").textContent = "The server does not answer."));
    return;
  }

  document.getElementById("names")?.addEventListener("click", async (event) => {
    const answer = await post("/names", { show: event.currentTarget.dataset.show === "true" });
    if (answer.ok) location.reload();
    else say(await detail(answer), "unsaved");
  });

  // --- forms: sent as they stand; what was refused stays to be corrected -------------------------
  const time = (node) => (node.textContent = new Date(node.dateTime).toLocaleString());
  const forms = every("form[data-post]");
  forms.forEach((form) =>
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const fields = Object.fromEntries(new FormData(form));
      if ("number" in fields) fields.number = Number(fields.number);
      const said = form.querySelector(".said");
      said.textContent = "";
      try {
        const answer = await post(form.dataset.post, fields);
        if (!answer.ok) return (said.textContent = await detail(answer));
        form.reset();
        location.reload();
      } catch {
        said.textContent = "Not saved: the server does not answer.";
      }
    }),
  );
  if (forms.length) {
    every("time").forEach(time);
    window.addEventListener("beforeunload", (event) => {
      const typed = every("form[data-post] textarea").some((field) => field.value !== field.defaultValue);
      if (typed) event.preventDefault();
    });
    return;
  }

  const waiting = new Map(); // by key: decisions that the server has not confirmed

  // --- seeing what others decide -----------------------------------------------------------------
  const EVERY = 1500; // ms between two looks
  let position = Number(body.dataset.position ?? 0);
  const look = async (use) => {
    if (document.hidden) return;
    try {
      const answer = await fetch(`/changes?after=${position}`);
      if (answer.status === 401 && !waiting.size) say(await detail(answer), "unsaved");
      if (!answer.ok) return;
      const changed = await answer.json();
      if (changed.position <= position) return;
      position = changed.position;
      await use(changed.entries);
    } catch {
      // the server starts again: the next look will tell
    }
  };
  const watch = (use) => {
    if (!("position" in body.dataset)) return;
    const again = () => setTimeout(() => look(use).finally(again), EVERY);
    document.addEventListener("visibilitychange", () => look(use));
    again();
  };

  if (body.dataset.page !== "work") {
    watch(async () => {
      const answer = await fetch(location.href);
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const href = document.activeElement?.getAttribute("href");
      document.getElementById("main").replaceWith(page.getElementById("main"));
      if (href) every("main a").find((link) => link.getAttribute("href") === href)?.focus();
    });
    return;
  }

  // --- one item ----------------------------------------------------------------------------------
  const student = body.dataset.student;
  const RETRY = 3000; // ms until what was not saved is sent again
  const PAUSE = 700; // ms without a key until a comment is saved
  const kept = "unsaved:"; // in this tab's storage, so that a reload loses nothing
  const undone = "undo";

  class Item {
    constructor(element) {
      this.element = element;
      this.comment = element.querySelector("textarea");
      this.box = element.querySelector(".conflict");
      this.level = element.dataset.level;
      this.seen = Number(element.dataset.seen);
      this.saved = { level: this.level, comment: this.comment.value };
      this.key = [student, element.dataset.criterion, element.dataset.item].join("/");
      this.before = null; // what the comment was before one that others got was put into it
      every("button[data-level]", element).forEach((button) =>
        button.addEventListener("click", () => this.choose(button.dataset.level)),
      );
      every("button[data-comment]", element).forEach((button, index) =>
        button.addEventListener("click", () => this.reuse(index)),
      );
      this.comment.addEventListener("input", () => {
        this.before = null;
        this.mark();
        this.later();
      });
      this.comment.addEventListener("blur", () => this.send());
      element.addEventListener("focusin", () => focusOn(this));
      this.show();
    }

    get changed() {
      return this.level !== this.saved.level || this.comment.value !== this.saved.comment;
    }

    choose(level) {
      if (level && !this.element.querySelector(`.level[data-level="${level}"]`)) return;
      this.level = level;
      this.show();
      this.send(true);
    }

    show() {
      every(".level", this.element).forEach((button) =>
        button.setAttribute("aria-pressed", String(button.dataset.level === this.level)),
      );
      this.element.classList.toggle("decided", Boolean(this.level));
      sums();
    }

    reuse(index) {
      const buttons = every("button[data-comment]", this.element);
      this.before ??= { text: this.comment.value, index: -1 };
      this.before.index = index;
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
      const added = index < 0 ? "" : buttons[index].dataset.comment;
      const keeps = this.before.text && added && this.before.text !== added;
      this.comment.value = keeps ? `${this.before.text}\n${added}` : added || this.before.text;
      this.mark();
      this.later();
    }

    step(by) {
      const count = every("button[data-comment]", this.element).length + 1;
      if (count > 1) this.reuse(((((this.before?.index ?? -1) + 1 + by) % count) + count) % count - 1);
    }

    body() {
      const { criterion, item, revision, opinion, settles } = this.element.dataset;
      return {
        student, criterion, item, revision, opinion,
        level: this.level || null, comment: this.comment.value, seen: this.seen, settles: settles === "true",
      };
    }

    mark() {
      waiting.set(this.key, this);
      sessionStorage.setItem(kept + this.key, JSON.stringify(this.body()));
      say("Saving", "");
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.send(), PAUSE);
    }

    async send(always = false) {
      clearTimeout(this.timer);
      if (!this.changed && !always) return this.settled();
      this.mark();
      if (this.sending) {
        this.again = true;
        return;
      }
      this.sending = true;
      const sent = this.body();
      const was = { ...this.saved, seen: this.seen };
      try {
        const answer = await post("/decide", sent);
        if (answer.status === 409) this.conflict((await answer.json()).entry);
        else if (!answer.ok) this.failed(await detail(answer), answer.status >= 500);
        else {
          const { entry } = await answer.json();
          this.confirmed(sent, was, entry);
        }
      } catch {
        this.failed("the server does not answer", true);
      }
      this.sending = false;
      if (this.again) {
        this.again = false;
        this.send();
      }
    }

    confirmed(sent, was, entry) {
      this.saved = { level: sent.level ?? "", comment: sent.comment };
      if (entry.seen !== was.seen) remember({ ...sent, ...was, level: was.level || null, seen: entry.seen });
      this.seen = entry.seen;
      this.by(entry);
      this.box.hidden = true;
      delete this.element.dataset.settles;
      if (!this.changed) this.settled();
      say(`Saved ${clock(Date.now())}`, "saved");
    }

    settled() {
      waiting.delete(this.key);
      sessionStorage.removeItem(kept + this.key);
    }

    failed(why, again) {
      say(`Not saved: ${why}`, "unsaved");
      if (again) this.timer = setTimeout(() => this.send(true), RETRY);
    }

    by(entry) {
      const line = this.element.querySelector(".by");
      line.textContent = entry.level ? `${entry.level} by ${entry.grader}, ${clock(entry.at)}` : "Open";
    }

    take(entry) {
      this.level = entry.counts && entry.level ? entry.level : "";
      this.comment.value = entry.comment;
      this.saved = { level: this.level, comment: this.comment.value };
      this.seen = entry.seen;
      this.by(entry);
      this.box.hidden = true;
      this.settled();
      this.show();
    }

    conflict(entry) {
      say("Not saved: somebody else decided meanwhile", "unsaved");
      this.box.replaceChildren();
      const line = (text) => {
        const paragraph = document.createElement("p");
        paragraph.textContent = text;
        this.box.append(paragraph);
      };
      const button = (text, act) => {
        const made = document.createElement("button");
        made.type = "button";
        made.textContent = text;
        made.addEventListener("click", () => (act(), this.element.focus()));
        this.box.append(made);
      };
      this.box.hidden = false;
      if (!entry) {
        line("Somebody else decided here meanwhile. Reload the page to go on.");
        return;
      }
      const told = (level, comment) => `${level || "left open"}${comment ? `, “${comment}”` : ""}`;
      line(`${entry.grader} decided at ${clock(entry.at)}: ${told(entry.level, entry.comment)}`);
      line(`Yours: ${told(this.level, this.comment.value)}`);
      button("Keep theirs", () => this.take(entry));
      button("Use mine", () => {
        this.seen = entry.seen;
        this.send(true);
      });
    }

    other(entry) {
      if (entry.opinion !== this.element.dataset.opinion || entry.seen <= this.seen) return;
      if (waiting.has(this.key)) return; // saving it will show both
      this.take(entry);
      say(`${entry.grader} decided ${entry.level ?? "to leave open"} at ${clock(entry.at)}`, "");
    }
  }

  const sums = () =>
    every(".group").forEach((group) => {
      let [has, open] = [0, 0];
      for (const item of every(".item", group)) {
        const chosen = item.querySelector(".level[aria-pressed=true]");
        if (chosen) has += Number(chosen.dataset.worth);
        else open += 1;
      }
      const sum = group.querySelector(".sum");
      const number = Math.round(100 * has) / 100;
      sum.textContent = `${number} of ${sum.dataset.max}${open ? `, ${open} open` : ""}`;
    });

  // --- undo: what was before, by the log's position after --------------------------------------
  const stack = () => JSON.parse(sessionStorage.getItem(undone) ?? "[]");
  const remember = (entry) => {
    if (!undoing) sessionStorage.setItem(undone, JSON.stringify([...stack(), entry].slice(-100)));
  };
  let undoing = false;
  const answered = async () => {
    // whether all that was sent is saved; after two seconds it is sent on its own way
    for (let tries = 0; waiting.size && tries < 40; tries++) {
      if (state.className === "unsaved") return false;
      await new Promise((done) => setTimeout(done, 50));
    }
    return true;
  };
  const undo = async () => {
    if (!(await answered())) return;
    const steps = stack();
    const last = steps.pop();
    if (!last) return say("Nothing to undo");
    sessionStorage.setItem(undone, JSON.stringify(steps));
    const item = items.find((one) => one.key === [last.student, last.criterion, last.item].join("/"));
    if (!item) {
      const answer = await post("/decide", last);
      const done = answer.ok ? `Undone: ${last.item} of ${last.student}` : "Not undone: it was decided anew since";
      return say(done, answer.ok ? "saved" : "unsaved");
    }
    undoing = true;
    item.level = last.level ?? "";
    item.comment.value = last.comment;
    item.show();
    await item.send(true);
    undoing = false;
    focusOn(item, true);
  };

  // --- moving ------------------------------------------------------------------------------------
  let current = null;
  const focusOn = (item, move = false) => {
    if (!item) return;
    current?.element.classList.remove("current");
    current = item;
    item.element.classList.add("current");
    if (move) item.element.focus();
  };
  const items = every(".item").map((element) => new Item(element));
  const go = async (link) => {
    if (!link) return say("There is no other student that way");
    document.activeElement?.blur();
    if (!(await answered())) return;
    sessionStorage.setItem("keys", "1");
    location.assign(link.href);
  };

  const single = document.getElementById("single");
  const help = document.getElementById("keys");
  single.checked = localStorage.getItem("finegrade.single") !== "off";
  const switched = () => {
    body.classList.toggle("off", !single.checked);
    localStorage.setItem("finegrade.single", single.checked ? "on" : "off");
  };
  single.addEventListener("change", switched);
  switched();
  const list = () => {
    help.showModal();
    help.querySelector("form button").focus();
  };
  document.getElementById("help").addEventListener("click", list);

  help.addEventListener("close", () => current?.element.focus({ preventScroll: true }));

  const keys = {
    0: () => current?.choose(""),
    1: () => current?.choose("full"),
    2: () => current?.choose("half"),
    3: () => current?.choose("none"),
    c: () => current?.comment.focus(),
    n: () => current?.step(1),
    p: () => current?.step(-1),
    j: () => go(document.querySelector("a[rel=next]")),
    k: () => go(document.querySelector("a[rel=prev]")),
    g: () => go(document.getElementById("go")),
    u: undo,
    "?": list,
  };
  const texts = document.querySelector(".texts");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    const writes = event.target.matches("textarea, input, select");
    if (writes) {
      if (event.key === "Escape") current?.element.focus();
      return;
    }
    if (texts.contains(event.target) && /^(Arrow|Page)/.test(event.key)) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const page = { PageDown: 0.8, PageUp: -0.8 }[event.key];
    if (by && items.length) {
      const at = items.indexOf(current) + by;
      focusOn(items[Math.min(Math.max(at, 0), items.length - 1)], true);
    } else if (page) texts.scrollBy({ top: page * texts.clientHeight });
    else if (single.checked && Object.hasOwn(keys, event.key)) keys[event.key]();
    else return;
    event.preventDefault();
  });
  every("time").forEach((time) => (time.textContent = clock(time.dateTime)));

  // --- what an earlier page could not save --------------------------------------------------------
  const recover = async () => {
    for (const name of Object.keys(sessionStorage).filter((one) => one.startsWith(kept))) {
      const sent = JSON.parse(sessionStorage.getItem(name));
      const item = items.find((one) => kept + one.key === name);
      if (item) {
        item.level = sent.level ?? "";
        item.comment.value = sent.comment;
        item.seen = Math.min(item.seen, sent.seen);
        item.show();
        item.send();
        continue;
      }
      const answer = await post("/decide", sent);
      if (answer.ok) sessionStorage.removeItem(name);
      else say(`Not saved: ${sent.item} of ${sent.student}. Open that student to see why`, "unsaved");
    }
  };
  recover().catch(() => say("Not saved: the server does not answer", "unsaved"));
  window.addEventListener("beforeunload", (event) => {
    if (state.className === "unsaved" && waiting.size) event.preventDefault();
  });

  const linked = items.find((item) => `#${item.element.id}` === location.hash);
  focusOn(linked ?? items.find((item) => !item.level) ?? items[0], Boolean(linked));
  if (sessionStorage.getItem("keys")) {
    sessionStorage.removeItem("keys");
    current?.element.focus({ preventScroll: true });
  }
  watch((entries) =>
    entries
      .filter((entry) => entry.student === student)
      .forEach((entry) =>
        items
          .find(({ element }) => element.dataset.criterion === entry.criterion && element.dataset.item === entry.item)
          ?.other(entry),
      ),
  );

  // --- facts come when the page stands ------------------------------------------------------------
  const facts = async () => {
    for (const part of every("[data-facts]")) {
      try {
        const answer = await fetch(part.dataset.facts);
        if (!answer.ok) throw new Error();
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        part.replaceChildren(...page.body.children);
      } catch {
        part.querySelector("[role=status]").textContent = "Facts could not be read. Reload the page to try again.";
      }
    }
  };
  facts();
})();
