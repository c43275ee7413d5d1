// Filters the rows and sections of targets, and the lists of waiting changes and of drift.
(() => {
  const rows = [...document.querySelectorAll("#targets tbody tr")];
  const buttons = [...byId("filters").querySelectorAll("[data-state]")];
  const lists = ["waiting", "causes"].map(byId).filter(Boolean).map((box) => ({
    box, rows: [...box.querySelectorAll("tbody tr")],
  }));

  const show = () => {
    const matches = readSearch();
    const state = chosen.get("state");
    const counted = new Map();
    const ofState = new Set();
    let shown = 0;
    for (const row of rows) {
      const section = byId(row.dataset.target);
      const fits = matches(row) || matches(section);
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
      const value = button.dataset.state;
      showButton(button, counted.get(value) ?? 0, value === state);
    }
    showNumber(shown, rows.length, "target");
  };

  for (const link of document.querySelectorAll("header [data-filter]")) {
    link.setAttribute("href", `#${link.dataset.filter}`);
  }
  const choose = connectFilter(["state"], "targets", show);
  for (const button of buttons) {
    button.addEventListener("click", () => choose("state", button.dataset.state));
  }
  document.documentElement.dataset.ready = "yes";
})();
