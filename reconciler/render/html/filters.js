"use strict";
// Filters and search, for the pages of a plan and of a fleet: each has its own script behind this
// one. Nothing on a page is made by a script, so all of it can be read without scripts.
const byId = (id) => document.getElementById(id);
const format = (number) => number.toLocaleString("en");

// The filter: values of facets, and the words of the search as `text`.
const chosen = new URLSearchParams();
const isFiltered = () => [...chosen.keys()].length > 0;
const clearFilter = () => {
  for (const name of [...chosen.keys()]) chosen.delete(name);
};

const texts = new Map();
const readText = (element) => {
  if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase());
  return texts.get(element);
};

// Returns a function that says whether an element has all words of the search.
const readSearch = () => {
  const words = (chosen.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
  return (element) => words.every((word) => readText(element).includes(word));
};

const showButton = (button, number, on) => {
  button.setAttribute("aria-pressed", String(on));
  button.classList.toggle("none", number === 0 && !on);
  button.querySelector("b").textContent = format(number);
};

const showNumber = (shown, all, noun) => {
  const total = `${format(all)} ${noun}${all === 1 && !isFiltered() ? "" : "s"}`;
  byId("shown").textContent = isFiltered() ? `${format(shown)} of ${total}` : total;
  byId("shown").dataset.shown = String(shown);
};

// Opens all that an element is in; a filter may have hidden it.
const openPlace = (place) => {
  for (let box = place; box; box = box.parentElement?.closest("details")) {
    box.hidden = false;
    if (box.tagName === "DETAILS") box.open = true;
  }
  place.scrollIntoView();
};

// Connects the filter with the address and the search. `#state=failed&text=checkout` is a filter,
// `#t3` and `#t3-c7` are places. Returns the function that a button calls: it chooses a value, or
// takes it back.
const connectFilter = (facets, top, show) => {
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
  const follow = () => {
    const hash = location.hash.slice(1);
    const place = /^[a-z]+[0-9]*(-[a-z]+[0-9]*)?$/.test(hash) ? byId(hash) : null;
    if (place) {
      openPlace(place);
      return;
    }
    clearFilter();
    for (const [name, value] of new URLSearchParams(hash)) {
      if (value && (name === "text" || facets.includes(name))) chosen.set(name, value);
    }
    byId("text").value = chosen.get("text") || "";
    show();
    if (hash) byId(top).scrollIntoView();
  };

  byId("filters").hidden = false;
  let timer = 0;
  byId("text").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      chosen.delete("text");
      choose("text", event.target.value.trim());
    }, 120);
  });
  byId("clear").addEventListener("click", () => {
    clearFilter();
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
  return choose;
};
