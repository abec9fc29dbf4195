// Every change ever made.

import { call } from "./api.js";
import { count, el, when } from "./dom.js";
import { DONE, onChange, trying } from "./events.js";

const PAGE = 50;
const list = document.getElementById("changes");
const older = document.getElementById("older");
let last = null; // number of the oldest change that is shown

function row(change) {
  const several = change.lessons > 1 ? `${count(change.lessons, "lesson")}, the first:` : null;
  const kind = change.kind === "undo" ? `took back change ${change.undid}` : DONE[change.kind];
  return el("li", { class: change.undone ? "undone" : null, value: change.number },
    el("div", { class: "pairs" }, el("span", {}, change.source), el("span", {}, change.target)),
    el("div", { class: "meta" },
      el("span", { class: "kind" }, kind), several && el("span", {}, several.replace(", the first:", "")),
      el("time", { datetime: change.time }, when(change.time)),
      change.origin ? el("span", {}, change.origin) : null,
      change.author ? el("span", {}, change.author) : null,
      change.undone ? el("span", {}, "taken back") : null,
      el("span", { class: "end" }, `change ${change.number}`)));
}

async function load(fresh) {
  const found = await trying(() =>
    call("GET", "/history", { query: { limit: PAGE, before: fresh ? null : last } }));
  if (!found) return;
  const rows = found.changes.map(row);
  if (fresh) list.replaceChildren(...rows);
  else list.append(...rows);
  if (fresh && !rows.length) list.append(el("li", { class: "empty" }, "Nothing has been taught yet."));
  last = found.changes.at(-1)?.number ?? last;
  older.hidden = found.changes.length < PAGE;
}

/** Begin; the view loads when it is shown. */
export function startHistory() {
  older.addEventListener("click", () => load(false));
  onChange(() => { if (!document.getElementById("view-history").hidden) load(true); });
  return { show: () => load(true) };
}
