// Lessons from files and into files, with their progress.

import { lines, request } from "./api.js";
import { count, el, openDialog, toast } from "./dom.js";
import { changed, undo } from "./events.js";

const byId = (id) => document.getElementById(id);
const LINES = "application/x-ndjson";
let busy = false; // a file is being read: the dialog stays

async function importFile(file, keepGoing) {
  const bar = el("progress", { "aria-label": `Import of ${file.name}` });
  const told = el("p", { "aria-live": "polite" }, "Sending and checking the file…");
  openDialog(`Import ${file.name}`, () => el("div", { class: "stack" }, told, bar));
  busy = true;
  try {
    const query = { name: file.name, keep_going: keepGoing };
    const response = await request("POST", "/lessons/import", { query, body: file, accept: LINES });
    let last = null;
    for await (last of lines(response)) {
      bar.max = Math.max(1, last.total);
      bar.value = last.report.read;
      told.textContent = `${last.report.read.toLocaleString("en")} of ${count(last.total, "entry", "entries")}`;
    }
    busy = false;
    if (!last?.complete) throw new Error(last?.error ?? "The server ended before the file was read.");
    report(file, last.report);
    changed();
  } catch (error) {
    busy = false;
    failed(file, error, keepGoing);
  }
}

function report(file, { taught, known, skipped, reasons }) {
  openDialog(`Imported ${file.name}`, (close) => el("div", { class: "stack" },
    el("p", {}, `${count(taught, "lesson")} taught, ${known.toLocaleString("en")} known already, ${skipped.toLocaleString("en")} skipped.`),
    reasons.length ? el("ul", { class: "report" }, reasons.map(([line, reason]) => el("li", {}, `Line ${line}: ${reason}`))) : null,
    el("div", { class: "actions" },
      taught ? el("button", { type: "button", class: "quiet", onclick: () => { close(); undo(); } }, "Undo") : null,
      el("button", { type: "button", class: "strong", onclick: close, autofocus: true }, "Done"))));
}

function failed(file, error, keptGoing) {
  const faulty = !keptGoing && /, line \d+:/.test(error.message);
  openDialog(`${file.name} was not imported`, (close) => el("div", { class: "stack" },
    el("p", { class: "wrong", role: "alert" }, faulty ? error.message.replace(/ Correct the file.*$/, "") : error.message),
    el("div", { class: "actions" },
      el("button", { type: "button", class: faulty ? "quiet" : "strong", onclick: close }, "Close"),
      faulty ? el("button", { type: "button", class: "strong", onclick: () => importFile(file, true) }, "Import the rest of it") : null)));
}

async function exportFile(query) {
  const button = byId("export");
  button.disabled = true;
  try {
    const format = byId("format").value;
    const response = await request("GET", "/lessons/export", { query: { ...query, format } });
    const size = Number(response.headers.get("Content-Length"));
    const reader = response.body.getReader();
    const parts = [];
    for (let got = 0, part; !(part = await reader.read()).done;) {
      parts.push(part.value);
      got += part.value.length;
      button.textContent = size ? `${Math.round((100 * got) / size)} %` : "…";
    }
    const address = URL.createObjectURL(new Blob(parts));
    el("a", { href: address, download: `lessons.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    toast(error.message);
  }
  button.disabled = false;
  button.textContent = "Export";
}

/** Begin, given what tells the filters of the lessons that are shown. */
export function startFiles(filters) {
  const input = byId("file"), view = byId("view-lessons");
  byId("import").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) importFile(input.files[0], false);
    input.value = "";
  });
  byId("export").addEventListener("click", () => exportFile(filters()));
  byId("dialog").addEventListener("cancel", (event) => { if (busy) event.preventDefault(); });
  view.addEventListener("dragover", (event) => { event.preventDefault(); view.classList.add("dropping"); });
  view.addEventListener("dragleave", () => view.classList.remove("dropping"));
  view.addEventListener("drop", (event) => {
    event.preventDefault();
    view.classList.remove("dropping");
    if (event.dataTransfer.files.length) importFile(event.dataTransfer.files[0], false);
  });
}
