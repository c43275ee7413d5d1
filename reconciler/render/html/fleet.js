"use strict";
// Filters the rows and sections of targets, and opens what a link leads to. Nothing on the page is
// made by this script.
(() => {
  const byId = (id) => document.getElementById(id);
  const bar = byId("filters");
  const rows = [...document.querySelectorAll("#targets tbody tr")];
  const buttons = [...bar.querySelectorAll("[data-state]")];
  const lists = ["waiting", "causes"].map(byId).filter(Boolean).map((box) => ({
    box, rows: [...box.querySelectorAll("tbody tr")],
  }));
  const chosen = new URLSearchParams();
  const words = new Map();
  const format = (number) => number.toLocaleString("en");

  const wordsOf = (element) => {
    if (!words.has(element)) words.set(element, element.textContent.toLowerCase());
    return words.get(element);
  };

  const show = () => {
    const asked = (chosen.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const state = chosen.get("state");
    const matches = (element) => asked.every((word) => wordsOf(element).includes(word));
    const counted = new Map();
    const ofState = new Set();
    let shown = 0;
    for (const row of rows) {
      const section = byId(row.dataset.target);
      const fits = asked.length === 0 || matches(row) || matches(section);
      if (fits) counted.set(row.dataset.state, (counted.get(row.dataset.state) ?? 0) + 1);
      const hidden = !fits || (state !== null && row.dataset.state !== state);
      if (state === null || row.dataset.state === state) ofState.add(row.dataset.target);
      row.hidden = section.hidden = hidden;
      shown += hidden ? 0 : 1;
    }
    for (const { box, rows: listed } of lists) {
      let here = 0;
      for (const row of listed) {
        const targets = (row.dataset.targets ?? row.dataset.target).split(" ");
        row.hidden = !(matches(row) && targets.some((target) => ofState.has(target)));
        here += row.hidden ? 0 : 1;
      }
      box.hidden = here === 0;
    }
    for (const button of buttons) {
      const on = button.dataset.state === state;
      const number = counted.get(button.dataset.state) ?? 0;
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("none", number === 0 && !on);
      button.querySelector("b").textContent = format(number);
    }
    const total = format(rows.length);
    byId("shown").textContent = asked.length > 0 || state !== null
      ? `${format(shown)} of ${total} targets`
      : `${total} ${rows.length === 1 ? "target" : "targets"}`;
    byId("shown").dataset.shown = String(shown);
  };

  const keep = () => {
    const hash = chosen.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    show();
  };

  // `#state=failed&text=checkout` is a filter, `#t3` and `#t3-c7` are places.
  const follow = () => {
    const hash = location.hash.slice(1);
    const target = /^[a-z]+[0-9]*(-[a-z]+[0-9]*)?$/.test(hash) ? byId(hash) : null;
    if (target) {
      for (let box = target; box; box = box.parentElement?.closest("details")) {
        box.hidden = false;
        if (box.tagName === "DETAILS") box.open = true;
      }
      target.scrollIntoView();
      return;
    }
    for (const name of [...chosen.keys()]) chosen.delete(name);
    for (const [name, value] of new URLSearchParams(hash)) {
      if (value && (name === "text" || name === "state")) chosen.set(name, value);
    }
    byId("text").value = chosen.get("text") || "";
    show();
    if (hash) byId("targets").scrollIntoView();
  };

  bar.hidden = false;
  for (const link of document.querySelectorAll("header [data-filter]")) {
    link.setAttribute("href", `#${link.dataset.filter}`);
  }
  let timer = 0;
  byId("text").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const text = event.target.value.trim();
      if (text) chosen.set("text", text);
      else chosen.delete("text");
      keep();
    }, 120);
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { state } = button.dataset;
      if (chosen.get("state") === state) chosen.delete("state");
      else chosen.set("state", state);
      keep();
    });
  }
  byId("clear").addEventListener("click", () => {
    for (const name of [...chosen.keys()]) chosen.delete(name);
    byId("text").value = "";
    keep();
  });
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
  document.documentElement.dataset.ready = "yes";
})();
