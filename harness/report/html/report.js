(() => {
"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const text = (node) => node ? node.textContent.trim() : "";

// Sorting: heads become buttons; numbers by value ("1-4" by its first, "-" last), words by letters.
const key = (row, at) => {
  const shown = text(row.cells[at]);
  const number = parseFloat(shown.replace(/,/g, ""));
  return shown === "-" || shown === "" ? null : Number.isNaN(number) ? shown.toLowerCase() : number;
};
const sort = (head, table) => {
  const at = head.cellIndex, body = table.tBodies[0];
  const up = head.getAttribute("aria-sort") !== "ascending";
  const rows = all("tr", body).map((row, place) => [key(row, at), place, row]);
  rows.sort(([a, i], [b, j]) => a === b ? i - j : a === null ? 1 : b === null ? -1
    : (typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === "number" ? -1 : 1) * (up ? 1 : -1));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...rows.map((row) => row[2]));
};
for (const table of all("table.board, table.plain")) {
  for (const head of table.tHead.rows[0].cells) {
    if (head.className === "drawn") continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, table));
    head.append(button);
  }
}

// Search: by name or team, in tables, curves, gallery and entries.
const search = document.createElement("input");
search.type = "search";
search.placeholder = "Find an entry";
search.setAttribute("aria-label", "Find an entry by name or team");
const found = [
  ...all("table.board tbody tr").map((row) => [row, all(".left", row).slice(0, 2).map(text).join(" ")]),
  ...all("[data-name]").map((part) => [part, part.dataset.name + " " + text(part.querySelector("summary .quiet"))]),
].map(([part, name]) => [part, name.toLowerCase()]);
const filter = () => {
  const wanted = search.value.trim().toLowerCase();
  for (const [part, name] of found) part.hidden = !name.includes(wanted);
};
search.addEventListener("input", filter);
document.getElementById("search").append(search);

// Links: what they lead to is opened, and shown though the search hid it.
const reveal = () => {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { /* as it is */ }
  const target = id && document.getElementById(id);
  if (!target) return;
  for (let part = target; part; part = part.parentElement) {
    if (part.hidden) { search.value = ""; filter(); }
    if (part.localName === "details") part.open = true;
  }
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);

// What a cell of a heat map says in words, under the pointer and the focus.
const tip = document.getElementById("tip");
const show = (event) => {
  const cell = event.target.closest ? event.target.closest("table.heat td") : null;
  tip.hidden = !cell || !text(cell);
  if (tip.hidden) return;
  const table = cell.closest("table"), heads = table.tHead.rows[0].cells;
  tip.textContent = `${text(cell.parentElement.cells[0])} against ${text(heads[cell.cellIndex])}: ${text(cell)}\u202f${table.dataset.figure}`;
  const box = cell.getBoundingClientRect(), own = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(innerWidth - own.width - 4, box.left + box.width / 2 - own.width / 2))}px`;
  tip.style.top = `${box.top > own.height + 12 ? box.top - own.height - 6 : box.bottom + 6}px`;
};
for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, show);
// Focus scrolls a cell into view: what is said of it goes along.
addEventListener("scroll", () => show({ target: document.activeElement }), { passive: true, capture: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

// A page that reloads itself keeps what was open and searched.
if (document.querySelector("meta[http-equiv=refresh]")) {
  const parts = all("details");
  const name = "report " + document.title;
  try {
    const kept = JSON.parse(sessionStorage.getItem(name) || "null");
    if (kept && kept.open.length <= parts.length) {
      for (const at of kept.open) parts[at].open = true;
      search.value = kept.search;
      filter();
    }
    addEventListener("pagehide", () => sessionStorage.setItem(name, JSON.stringify({
      search: search.value, open: parts.flatMap((part, at) => part.open ? [at] : []) })));
  } catch { /* a browser that keeps nothing */ }
}
reveal();
})();
