"use strict";
// Filters the changes, and opens what a link leads to. All it does can be undone by reading on
// without it: nothing on the page is made by this script.
(() => {
  const byId = (id) => document.getElementById(id);
  const bar = byId("filters");
  const changes = [...document.querySelectorAll(".c")];
  const groups = [...document.querySelectorAll(".group")].map((box) => ({
    box,
    number: box.querySelector(".number"),
    link: document.querySelector(`nav a[href="#${box.id}"]`),
    all: [...box.querySelectorAll(".c")],
  }));
  const facets = ["action", "cause", "gate", "way", "who", "kind"];
  const chosen = new URLSearchParams();
  const words = new Map();

  const wordsOf = (change) => {
    if (!words.has(change)) words.set(change, change.textContent.toLowerCase());
    return words.get(change);
  };

  const fits = (change, asked) => {
    for (const facet of facets) {
      const wanted = chosen.get(facet);
      if (wanted === null) continue;
      if (!(change.dataset[facet] ?? "").split("\n").includes(wanted)) return false;
    }
    return asked.every((word) => wordsOf(change).includes(word));
  };

  const show = () => {
    const asked = (chosen.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const filtered = [...chosen.keys()].length > 0;
    let shown = 0;
    for (const { box, number, link, all } of groups) {
      let here = 0;
      for (const change of all) {
        change.hidden = !fits(change, asked);
        here += change.hidden ? 0 : 1;
      }
      box.hidden = here === 0;
      if (link) link.hidden = here === 0;
      number.textContent = here.toLocaleString("en");
      shown += here;
    }
    if (filtered && shown <= 200) for (const { box } of groups) box.open = true;
    const total = changes.length.toLocaleString("en");
    byId("shown").textContent = filtered
      ? `${shown.toLocaleString("en")} of ${total} changes`
      : `${total} ${changes.length === 1 ? "change" : "changes"}`;
    byId("shown").dataset.shown = String(shown);
    for (const button of bar.querySelectorAll("[data-facet]")) {
      const on = chosen.get(button.dataset.facet) === button.dataset.value;
      button.setAttribute("aria-pressed", String(on));
    }
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
  };

  const fold = (open) => {
    for (const { box } of groups) if (!box.hidden && open) box.open = true;
    for (const change of changes) if (!change.hidden) change.open = open;
  };

  if (bar) {
    bar.hidden = false;
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

  // On paper nothing can be unfolded.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    const folded = [...document.querySelectorAll("details:not([open])")];
    unfolded = folded.length <= 400 ? folded : [];
    for (const box of unfolded) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of unfolded) box.open = false;
  });
  document.documentElement.dataset.ready = "yes";
})();
