// The page: three views, the number of lessons, undo.

import { call } from "./api.js";
import { changed, onChange, trying, undo } from "./events.js";
import { startHistory } from "./history.js";
import { startLessons } from "./lessons.js";
import { startTranslating } from "./translate.js";

const VIEWS = { translate: startTranslating(), lessons: startLessons(), history: startHistory() };

function show() {
  const wanted = location.hash.slice(1).split("?")[0];
  const name = wanted in VIEWS ? wanted : "translate";
  for (const other of Object.keys(VIEWS)) {
    document.getElementById(`view-${other}`).hidden = other !== name;
    const link = document.querySelector(`nav a[href="#${other}"]`);
    if (other === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  VIEWS[name].show();
  countLessons(); // others may have taught some
}

async function countLessons() {
  const found = await trying(() => call("GET", "/lessons", { query: { limit: 1 } }));
  if (found) document.getElementById("count").textContent = found.total ? found.total.toLocaleString("en") : "";
}

function onKey(event) {
  const writing = event.target.closest("input, textarea, select, [contenteditable], dialog");
  if (event.key === "/" && !writing) {
    event.preventDefault();
    location.hash = "#lessons";
    requestAnimationFrame(() => document.getElementById("search").focus());
  }
}

document.getElementById("undo").addEventListener("click", undo);
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", show);
// Others may teach the same translator: who comes back sees what holds now.
let left = 0;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) left = Date.now();
  else if (Date.now() - left > 60_000) changed();
});
onChange(countLessons);
show();
