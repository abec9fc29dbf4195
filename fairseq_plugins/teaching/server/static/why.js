// Why this word: what network and memory said, and the sentences that the memory remembered.

import { el, percent, withMark } from "./dom.js";

const MOST = 5; // pieces of evidence
const LEAST = 0.005; // share that is worth telling
const panel = document.getElementById("why");
const title = document.getElementById("why-title");
const hint = document.getElementById("hint");

function where(one) {
  if (one.lesson === null) {
    const others = one.others ? ` and ${one.others} earlier ${one.others > 1 ? "places" : "place"}` : "";
    return [el("span", {}, one.origin + others)];
  }
  const origin = one.origin ? ` · ${one.origin}` : "";
  return [el("a", { href: `#lessons?${one.lesson}` }, `Lesson ${one.lesson}`), origin];
}

function evidence(one) {
  const bar = el("i", { "aria-hidden": "true" });
  bar.style.setProperty("--share", one.weight);
  const pair = one.target === null
    ? [el("span", {}, el("mark", {}, one.word))]
    : [el("span", {}, withMark(one.target, one.word)), el("span", { class: "from" }, one.source)];
  return el("li", {},
    el("span", { class: "weight" }, one.weight ? percent(one.weight) : "near", bar),
    el("div", { class: "pair" }, pair),
    el("div", { class: "where" }, where(one), ` · similarity ${one.similarity.toFixed(2)}`));
}

function near(one, take) {
  const kinds = { "=": "span", "+": "ins", "-": "del" };
  const parts = one.difference.flatMap(([kind, text]) => [el(kinds[kind], {}, text), " "]);
  return el("li", {},
    el("span", { class: "weight" }, percent(one.similarity)),
    el("div", { class: "pair" }, el("span", {}, one.lesson.target), el("span", { class: "from" }, parts)),
    el("div", { class: "where" }, el("a", { href: `#lessons?${one.lesson.id}` }, `Lesson ${one.lesson.id}`), " · ",
      el("button", { type: "button", class: "link", onclick: () => take(one.lesson.target) }, "Use its translation")));
}

function summary(word) {
  const probable = `${percent(word.probability)} probable`;
  if (word.memory_share === null) return probable;
  if (word.memory_share < LEAST) return `${probable}, by the network alone`;
  return `${probable}, ${percent(word.memory_share)} of that from the memory`;
}

/** Show the evidence for a word of a sentence. */
export function explain(word, sentence, found, take) {
  title.replaceChildren(el("q", {}, word.text), ` ${summary(word)}`);
  const parts = [title];
  if (sentence.lesson) {
    parts.push(el("p", { class: "soft" }, "This sentence is translated as it was taught by ",
      el("a", { href: `#lessons?${sentence.lesson.id}` }, `lesson ${sentence.lesson.id}`), "."));
  }
  const best = word.evidence.filter((one) => one.weight >= LEAST || word.memory_share === null).slice(0, MOST);
  if (best.length) parts.push(el("ul", { class: "evidence" }, best.map(evidence)));
  else parts.push(el("p", { class: "soft" }, "No remembered sentence supports this word."));
  if (sentence.near.length) {
    parts.push(el("h3", {}, "Lessons with a similar sentence"),
      el("ul", { class: "evidence" }, sentence.near.slice(0, MOST).map((one) => near(one, take))));
  }
  if (found.alone !== null) parts.push(el("p", { class: "soft" }, `Without its memory: ${found.alone}`));
  panel.replaceChildren(...parts);
}

/** Show how to ask. */
export function explainNothing() {
  title.textContent = "Why this word";
  panel.replaceChildren(title, hint);
}
