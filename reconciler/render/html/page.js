// Filters the changes, and counts for each button what it would show.
(() => {
  const bar = byId("filters");
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
      showButton(button, number, on);
      const box = on ? button.closest("details") : null;
      if (box) box.open = true;
    }
  };

  const show = () => {
    const matches = readSearch();
    const wanted = facets.filter((facet) => chosen.get(facet) !== null);
    const rows = [];
    let shown = 0;
    for (const { box, number, link, all } of groups) {
      let here = 0;
      for (const change of all) {
        const misses = wanted.filter((facet) => !has(change, facet, chosen.get(facet)));
        const found = matches(change);
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
    if (isFiltered() && shown <= 200) for (const { box } of groups) box.open = true;
    showNumber(shown, changes.length, "change");
    count(rows);
  };

  const fold = (open) => {
    for (const { box } of groups) if (!box.hidden && open) box.open = true;
    for (const change of changes) if (!change.hidden) change.open = open;
  };

  if (bar) {
    for (const link of document.querySelectorAll("[data-filter]")) {
      link.setAttribute("href", `#${link.dataset.filter}`);
    }
    const choose = connectFilter(facets, "changes", show);
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("[data-facet]");
      if (button) choose(button.dataset.facet, button.dataset.value);
    });
    byId("open").addEventListener("click", () => fold(true));
    byId("fold").addEventListener("click", () => fold(false));
  }
  document.documentElement.dataset.ready = "yes";
})();
