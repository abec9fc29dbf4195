// The desk: a text, its translation as it is typed, and corrections that are taught where they stand.

import { call } from "./api.js";
import { announce, count, el, toast } from "./dom.js";
import { changed, onChange, undo } from "./events.js";
import { drawParagraph, dataOf, sentencesWith } from "./translation.js";
import { explain, explainNothing } from "./why.js";

const TYPING = 350; // ms without a key, after which a text is translated
const FUZZY = 0.7; // similarity from which on lessons with nearly the same sentence are shown
const TEXT = "text", AUTHOR = "author"; // what the tab and the browser keep

const byId = (id) => document.getElementById(id);
const source = byId("source"), mirror = byId("mirror"), translation = byId("translation");
const form = byId("teach"), author = byId("author");

let paragraphs = []; // of the text: { text, start, found }
let known = new Map(); // translations by their texts, as long as the lessons stay what they are
let before = null; // translations by their texts before something was taught
let corrections = new Map(); // by sentence of the source
let chosen = null; // the word whose evidence is shown
let running = null; // what aborts the translation that is going on
let lastSentence = null; // that had the focus
let typing;

// --- Translating -----------------------------------------------------------------------------

function cut(text) {
  let start = 0;
  return text.split("\n").map((line) => {
    const paragraph = { text: line, start, found: known.get(line) ?? null };
    start += line.length + 1;
    return paragraph;
  });
}

async function translate() {
  running?.abort();
  const own = running = new AbortController();
  paragraphs = cut(source.value);
  draw();
  byId("busy").hidden = false;
  try {
    for (const [place, one] of paragraphs.entries()) {
      if (one.found || !one.text.trim()) continue;
      one.found = known.get(one.text)
        ?? await call("POST", "/explain", { json: { text: one.text, fuzzy: FUZZY }, signal: own.signal });
      known.set(one.text, one.found);
      drawOne(place);
    }
    tellChanges();
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message);
  }
  if (running === own) byId("busy").hidden = true;
}

function draw() {
  while (translation.children.length > paragraphs.length) translation.lastChild.remove();
  while (translation.children.length < paragraphs.length) translation.append(el("p"));
  paragraphs.forEach((_, place) => drawOne(place));
  showCorrections();
}

function drawOne(place) {
  const one = paragraphs[place], element = translation.children[place];
  element.classList.toggle("pending", !one.found && one.text.trim() !== "");
  if (one.found || !one.text.trim()) {
    drawParagraph(element, one, corrections, before?.get(one.text));
  }
}

function tellChanges() {
  if (!before) return;
  const words = translation.querySelectorAll(".changed").length;
  announce(words ? `Translated again: ${count(words, "word")} changed.` : "Translated again: nothing else changed.");
}

function onSource() {
  mirror.textContent = `${source.value}\n`;
  sessionStorage.setItem(TEXT, source.value);
  before = null;
  clearTimeout(typing);
  typing = setTimeout(() => { translate(); forgetChoice(); }, TYPING);
}

// --- Correcting and teaching -----------------------------------------------------------------

function showCorrections() {
  const present = [...corrections.keys()].filter((text) => sentencesWith(translation, text).length);
  form.hidden = !present.length;
  byId("corrected").textContent = `${count(present.length, "sentence")} corrected`;
}

function correct(sentence, text) {
  const plain = text.replace(/\s+/g, " ").trim();
  const { given } = dataOf(sentence);
  if (plain && plain !== given) corrections.set(dataOf(sentence).sentence.source, plain);
  else corrections.delete(dataOf(sentence).sentence.source);
  sentence.classList.toggle("corrected", plain !== given);
  if (chosen && (!chosen.isConnected || chosen.textContent !== dataOf(chosen).word.text)) forgetChoice();
  showCorrections();
}

function focusOn(text) {
  sentencesWith(translation, text)[0]?.focus();
}

function discard() {
  corrections.clear();
  draw();
  announce("Corrections discarded.");
}

async function teach(event) {
  event?.preventDefault();
  const lessons = [];
  const who = author.value.trim();
  localStorage.setItem(AUTHOR, who);
  form.querySelectorAll("button").forEach((button) => { button.disabled = true; });
  byId("corrected").textContent = "teaching…";
  try {
    for (const [text, target] of [...corrections]) {
      if (!sentencesWith(translation, text).length) continue;
      lessons.push(await call("POST", "/lessons", { json: { source: text, target, origin: "page", author: who } }));
      corrections.delete(text);
    }
  } catch (error) {
    toast(error.message);
  }
  form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  showCorrections();
  if (!lessons.length) return;
  toast(`Taught: ${lessons.map((one) => `“${one.target}”`).join(", ")}`, { name: "Undo", run: undo });
  byId("notices").replaceChildren(...lessons.flatMap(warnings));
  changed();
}

function warnings(lesson) {
  const texts = lesson.contradicts.map((other) =>
    `Lesson ${other.id} translated the same sentence as “${other.target}”. The new one applies.`);
  if (!lesson.came_through) {
    texts.push(`This sentence is now translated as you taught it. In other sentences network and memory may not
      follow yet: by themselves they say “${lesson.now}”.`.replace(/\s+/g, " "));
  }
  return texts.map((text) => el("p", { class: "notice", role: "alert" }, el("span", {}, text),
    el("button", { type: "button", "aria-label": "Dismiss", onclick: (e) => e.target.parentNode.remove() }, "✕")));
}

// --- The word at the cursor ------------------------------------------------------------------

function choose(word) {
  if (!word || word === chosen || !dataOf(word)) return;
  forgetChoice();
  chosen = word;
  word.classList.add("chosen");
  const sentence = word.closest(".sentence");
  const { sentence: about, paragraph } = dataOf(sentence);
  const begin = paragraph.start + about.source_start;
  mirror.replaceChildren(source.value.slice(0, begin), el("mark", {}, about.source),
    `${source.value.slice(begin + about.source.length)}\n`);
  explain(dataOf(word).word, about, paragraph.found, (text) => {
    sentence.textContent = text;
    correct(sentence, text);
    sentence.focus();
  });
}

function forgetChoice() {
  chosen?.classList.remove("chosen");
  chosen = null;
  mirror.textContent = `${source.value}\n`;
  explainNothing();
}

function onSelection() {
  const node = getSelection().anchorNode;
  if (!node || !translation.contains(node)) return;
  choose((node.nodeType === Node.TEXT_NODE ? node.parentNode : node).closest(".word"));
}

function onKey(event) {
  if (event.isComposing) return;
  if (event.key === "Enter") {
    event.preventDefault(); // a sentence has one line
    if (event.ctrlKey || event.metaKey) teach();
  } else if (event.key === "Escape") {
    const text = dataOf(event.target.closest(".sentence"))?.sentence.source;
    if (!corrections.delete(text)) return;
    draw();
    focusOn(text);
  }
}

/** Begin; return what to do when the view is shown. */
export function startTranslating() {
  source.value = sessionStorage.getItem(TEXT) ?? "";
  author.value = localStorage.getItem(AUTHOR) ?? "";
  mirror.textContent = `${source.value}\n`;
  source.addEventListener("input", onSource);
  source.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) translation.querySelector(".sentence")?.focus();
  });
  translation.addEventListener("input", (event) => correct(event.target, event.target.textContent));
  translation.addEventListener("keydown", onKey);
  translation.addEventListener("focusin", (event) => { lastSentence = event.target.closest(".sentence"); });
  translation.addEventListener("paste", (event) => {
    event.preventDefault();
    const text = event.clipboardData.getData("text/plain").replace(/\s+/g, " ");
    document.execCommand("insertText", false, text);
  });
  document.addEventListener("selectionchange", onSelection);
  form.addEventListener("submit", teach);
  byId("discard").addEventListener("click", discard);
  onChange(() => {
    const active = document.activeElement;
    const here = active === document.body || active.closest(".sentence, #teach");
    const focused = here && lastSentence && dataOf(lastSentence);
    before = known;
    known = new Map();
    forgetChoice();
    translate().then(() => { if (focused) focusOn(focused.sentence.source); });
  });
  if (source.value) translate();
  return { show: () => {} };
}
