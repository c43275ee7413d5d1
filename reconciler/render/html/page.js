"use strict";
// Filters the changes, and opens what a link leads to. All it does can be undone by reading on
// without it: nothing on the page is made by this script.
(() => {
  const byId = (id) => document.getElementById(id);
  const bar = byId("filters");
  const format = (number) => number.toLocaleString("en");
  const changes = [...document.querySelectorAll(".c")];
  const groups = [...document.querySelectorAll(".group")].map((box) => ({
    box,
    number: box.querySelector(".number"),
    link: document.querySelector(`nav a[href="#${box.id}"]`),
    all: [...box.querySelectorAll(".c")],
  }));
  const buttons = bar ? [...bar.querySelectorAll("[data-facet]")] : [];
  // A change has its values itself, or the number of a group that some buttons name.
  const named = new Map();
  for (const button of buttons) {
    const { facet, value, groups: numbers } = button.dataset;
    for (const number of numbers ? numbers.split(" ") : []) {
      named.set(number, [...(named.get(number) ?? []), [facet, value]]);
    }
  }
  const facets = [
    "action", "cause", "gate", "wave", "way", "who", "kind", "approver", "required", "policy",
  ];
  const chosen = new URLSearchParams();
  const words = new Map();

  const wordsOf = (change) => {
    if (!words.has(change)) words.set(change, change.textContent.toLowerCase());
    return words.get(change);
  };

  const pairs = new Map(changes.map((change) => {
    const own = facets.flatMap((facet) =>
      (change.dataset[facet] ?? "").split("\n").filter(Boolean).map((value) => [facet, value]));
    return [change, [...own, ...(named.get(change.dataset.decisions) ?? [])]];
  }));

  const has = (change, facet, value) =>
    pairs.get(change).some((pair) => pair[0] === facet && pair[1] === value);

  // Counts, for each button, what it would show together with the other facets.
  const count = (rows) => {
    const numbers = new Map();
    for (const { change, misses } of rows) {
      for (const [facet, value] of misses.length > 1 ? [] : pairs.get(change)) {
        if (misses.length === 1 && misses[0] !== facet) continue;
        const key = `${facet}\n${value}`;
        numbers.set(key, (numbers.get(key) ?? 0) + 1);
      }
    }
    for (const button of buttons) {
      const { facet, value } = button.dataset;
      const number = numbers.get(`${facet}\n${value}`) ?? 0;
      const on = chosen.get(facet) === value;
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("none", number === 0 && !on);
      button.querySelector("b").textContent = format(number);
      const box = on ? button.closest("details") : null;
      if (box) box.open = true;
    }
  };

  const show = () => {
    const asked = (chosen.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = facets.filter((facet) => chosen.get(facet) !== null);
    const filtered = [...chosen.keys()].length > 0;
    const rows = [];
    let shown = 0;
    for (const { box, number, link, all } of groups) {
      let here = 0;
      for (const change of all) {
        const misses = wanted.filter((facet) => !has(change, facet, chosen.get(facet)));
        const found = asked.every((word) => wordsOf(change).includes(word));
        if (found) rows.push({ change, misses });
        change.hidden = !found || misses.length > 0;
        here += change.hidden ? 0 : 1;
      }
      box.hidden = here === 0;
      number.textContent = format(here);
      if (link) {
        link.hidden = here === 0;
        link.querySelector(".number").textContent = format(here);
      }
      shown += here;
    }
    if (filtered && shown <= 200) for (const { box } of groups) box.open = true;
    const total = format(changes.length);
    byId("shown").textContent = filtered
      ? `${format(shown)} of ${total} changes`
      : `${total} ${changes.length === 1 ? "change" : "changes"}`;
    byId("shown").dataset.shown = String(shown);
    count(rows);
  };

  const keep = () => {
    const hash = chosen.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    show();
  };

  const choose = (name, value) => {
    if (value && chosen.get(name) !== value) chosen.set(name, value);
    else chosen.delete(name);
    keep();
  };

  // `#action=delete&text=checkout` is a filter, `#c7` and `#g2` are places.
  const follow = () => {
    const hash = location.hash.slice(1);
    const target = /^[a-z]+[0-9]*$/.test(hash) ? byId(hash) : null;
    if (target) {
      for (let box = target; box; box = box.parentElement?.closest("details")) {
        if (box.tagName === "DETAILS") box.open = true;
      }
      target.scrollIntoView();
      return;
    }
    for (const name of [...chosen.keys()]) chosen.delete(name);
    for (const [name, value] of new URLSearchParams(hash)) {
      if (value && (name === "text" || facets.includes(name))) chosen.set(name, value);
    }
    byId("text").value = chosen.get("text") || "";
    show();
    if (hash) byId("changes").scrollIntoView();
  };

  const fold = (open) => {
    for (const { box } of groups) if (!box.hidden && open) box.open = true;
    for (const change of changes) if (!change.hidden) change.open = open;
  };

  if (bar) {
    bar.hidden = false;
    for (const link of document.querySelectorAll("[data-filter]")) {
      link.setAttribute("href", `#${link.dataset.filter}`);
    }
    let timer = 0;
    byId("text").addEventListener("input", (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        chosen.delete("text");
        choose("text", event.target.value.trim());
      }, 120);
    });
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("[data-facet]");
      if (button) choose(button.dataset.facet, button.dataset.value);
    });
    byId("clear").addEventListener("click", () => {
      for (const name of [...chosen.keys()]) chosen.delete(name);
      byId("text").value = "";
      keep();
    });
    byId("open").addEventListener("click", () => fold(true));
    byId("fold").addEventListener("click", () => fold(false));
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        byId("text").focus();
      } else if (event.key === "Escape" && typing) {
        byId("clear").click();
      }
    });
    addEventListener("hashchange", follow);
    follow();
  }
  document.documentElement.dataset.ready = "yes";
})();
