// The lessons: found page by page, taught, edited, forgotten.

import { call } from "./api.js";
import { count, el, openDialog, toast, when } from "./dom.js";
import { changed, onChange, trying, undo } from "./events.js";
import { startFiles } from "./files.js";

const PAGE = 50;
const TYPING = 250; // ms
const byId = (id) => document.getElementById(id);
const list = byId("lessons"), search = byId("search");

let offset = 0;
let origin = ""; // of the lessons that are shown; empty: any
let editing = null; // id of the lesson that is edited
let asked = 0; // number of the last search: older answers are dropped

/** The filters as the server understands them. */
export function filters() {
  return { search: search.value.trim(), origin };
}

async function load() {
  const own = ++asked;
  const found = await trying(() => call("GET", "/lessons", { query: { ...filters(), limit: PAGE, offset } }));
  if (!found || own !== asked) return;
  if (!found.lessons.length && offset > 0) {
    offset = Math.max(0, (Math.ceil(found.total / PAGE) - 1) * PAGE);
    load();
    return;
  }
  list.replaceChildren(...found.lessons.map((one) => (one.id === editing ? editRow(one) : row(one))));
  if (!found.lessons.length) list.append(el("li", { class: "empty" }, nothing()));
  drawPages(found);
  drawFilter(found.total);
}

function nothing() {
  return search.value || origin ? "No lesson matches." : "Nothing has been taught yet. Correct a translation, or import a file.";
}

function row(lesson) {
  const by = lesson.author ? el("span", {}, lesson.author) : null;
  const from = lesson.origin
    ? el("button", { type: "button", class: "link", title: "Only lessons of this origin", onclick: () => only(lesson.origin) }, lesson.origin)
    : null;
  return el("li", {},
    el("div", { class: "pairs" }, el("span", {}, lesson.source), el("span", {}, lesson.target)),
    el("div", { class: "meta" }, el("span", {}, `Lesson ${lesson.id}`), from, by,
      el("time", { datetime: lesson.changed }, when(lesson.changed)),
      lesson.note ? el("span", { class: "note" }, lesson.note) : null,
      el("span", { class: "end" },
        el("button", { type: "button", class: "quiet", "aria-label": `Edit lesson ${lesson.id}`, onclick: () => edit(lesson.id) }, "Edit"),
        el("button", { type: "button", class: "quiet", "aria-label": `Forget lesson ${lesson.id}`, onclick: () => forget(lesson) }, "Forget"))));
}

function field(label, name, value, control = "input") {
  const input = el(control, { name, maxlength: control === "input" ? 2000 : 10000 });
  input.value = value;
  return el("label", { class: "field" }, label, input);
}

function editRow(lesson) {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const form = el("form", { onsubmit: (event) => { event.preventDefault(); save(lesson, form, wrong); },
    onkeydown: (event) => {
      if (event.key === "Escape") { editing = null; load(); }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    } },
  field("Source", "source", lesson.source, "textarea"), field("Translation", "target", lesson.target, "textarea"),
  field("Origin", "origin", lesson.origin), field("Note", "note", lesson.note),
  el("div", { class: "actions" }, wrong,
    el("button", { type: "button", class: "quiet", onclick: () => { editing = null; load(); } }, "Cancel"),
    el("button", { class: "strong" }, lesson.id ? "Save" : "Teach")));
  return el("li", {}, form);
}

async function save(lesson, form, wrong) {
  const json = Object.fromEntries(new FormData(form));
  if (!lesson.id) json.author = localStorage.getItem("author") ?? "";
  try {
    const kept = await call(lesson.id ? "PUT" : "POST", lesson.id ? `/lessons/${lesson.id}` : "/lessons", { json });
    editing = null;
    const older = kept.contradicts.length ? ` It contradicts lesson ${kept.contradicts[0].id}; the newer one applies.` : "";
    toast(`Lesson ${kept.id} is ${lesson.id ? "changed" : "taught"}.${older}`, { name: "Undo", run: undo });
    changed();
  } catch (error) {
    wrong.textContent = error.message;
  }
}

function edit(id) {
  editing = id;
  load().then(() => list.querySelector("form textarea[name=target]")?.focus());
}

function add() {
  if (list.querySelector("form")) editing = null;
  list.querySelector("li.empty")?.remove();
  list.prepend(editRow({ id: 0, source: "", target: "", origin: "", note: "" }));
  list.querySelector("form textarea").focus();
}

async function forget(lesson) {
  const done = await trying(() => call("DELETE", `/lessons/${lesson.id}`));
  if (!done) return;
  toast(`Forgotten: “${lesson.source}”`, { name: "Undo", run: undo });
  changed();
}

// --- Many at once --------------------------------------------------------------------------------

function only(name) {
  origin = name;
  offset = 0;
  load();
}

function drawFilter(total) {
  const box = byId("filter");
  box.hidden = !origin;
  if (!origin) return;
  box.replaceChildren(el("span", {}, `Only from “${origin}”: ${count(total, "lesson")}`),
    el("button", { type: "button", class: "link", onclick: () => only("") }, "Show all"),
    el("button", { type: "button", class: "link", onclick: forgetMany, disabled: !total }, "Forget these…"));
}

async function forgetMany() {
  const query = filters();
  const meant = await trying(() => call("DELETE", "/lessons", { query: { ...query, dry_run: true } }));
  if (!meant) return;
  const what = query.search ? ` that contain “${query.search}”` : "";
  openDialog(`Forget ${count(meant.lessons, "lesson")}?`, (close) => el("div", { class: "stack" },
    el("p", {}, `All lessons from “${query.origin}”${what}. This is one change, which you can undo.`),
    el("div", { class: "actions" },
      el("button", { type: "button", class: "quiet", onclick: close }, "Keep them"),
      el("button", { type: "button", class: "strong", onclick: async () => {
        close();
        const done = await trying(() => call("DELETE", "/lessons", { query }));
        if (!done) return;
        toast(`Forgotten: ${count(done.lessons, "lesson")}`, { name: "Undo", run: undo });
        changed();
      } }, "Forget"))));
}

function drawPages({ lessons, total }) {
  const turn = (to) => () => { offset = to; load().then(() => scrollTo({ top: 0 })); };
  const button = (name, to, there) => el("button", { type: "button", disabled: !there, onclick: turn(to) }, name);
  const range = `${(offset + 1).toLocaleString("en")} to ${(offset + lessons.length).toLocaleString("en")} of ${count(total, "lesson")}`;
  byId("pages").replaceChildren(...(total <= PAGE ? [] : [
    button("Newer", Math.max(0, offset - PAGE), offset > 0), el("span", {}, range),
    button("Older", offset + PAGE, offset + lessons.length < total)]));
}

/** Show the lesson that the address names, "#lessons?12", or all of them. */
async function show() {
  const id = Number(location.hash.split("?")[1]);
  if (!id) return load();
  const lesson = await trying(() => call("GET", `/lessons/${id}`));
  asked++;
  if (lesson) list.replaceChildren(id === editing ? editRow(lesson) : row(lesson));
  byId("pages").replaceChildren(el("a", { href: "#lessons" }, "All lessons"));
  return null;
}

/** Begin; return what to do when the view is shown. */
export function startLessons() {
  let typing;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { offset = 0; load(); }, TYPING);
  });
  byId("add").addEventListener("click", add);
  startFiles(filters);
  onChange(() => { if (!byId("view-lessons").hidden) show(); });
  return { show };
}
