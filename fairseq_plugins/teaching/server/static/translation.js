// A translation as elements: sentences that can be corrected, words tinted by the memory's share.

import { el } from "./dom.js";

const data = new WeakMap(); // what elements of sentences and words stand for

/** What is known of an element: { sentence, paragraph, given } or { word }. */
export function dataOf(element) {
  return data.get(element);
}

/** The elements of a sentence of the source: it may occur more than once. */
export function sentencesWith(translation, text) {
  return [...translation.querySelectorAll(".sentence")].filter((one) => dataOf(one).sentence.source === text);
}

/**
 * Draw a paragraph anew.
 *
 * @param element of it.
 * @param paragraph { text, start, found }.
 * @param corrections by sentence of the source: they stay where a sentence is drawn anew.
 * @param before its translation before something was taught, to mark what has changed.
 */
export function drawParagraph(element, paragraph, corrections, before) {
  const { found } = paragraph;
  element.replaceChildren();
  if (!found) return;
  const changed = before ? changedWords(before.words, found.words) : new Set();
  let place = 0;
  for (const sentence of found.sentences) {
    element.append(found.text.slice(place, sentence.start),
      drawSentence(sentence, paragraph, corrections.get(sentence.source), changed));
    place = sentence.end;
  }
  element.append(found.text.slice(place));
}

function drawSentence(sentence, paragraph, correction, changed) {
  const { found } = paragraph;
  const given = found.text.slice(sentence.start, sentence.end);
  const element = el("span", {
    class: `sentence${sentence.lesson ? " taught" : ""}${correction ? " corrected" : ""}`,
    contenteditable: "true", role: "textbox", "aria-multiline": "false", spellcheck: "false",
    "aria-label": `Translation of: ${sentence.source}`,
  });
  data.set(element, { sentence, paragraph, given });
  if (correction) {
    element.textContent = correction;
    return element;
  }
  let place = sentence.start;
  for (const [number, word] of found.words.entries()) {
    if (word.start < sentence.start || word.end > sentence.end) continue;
    const drawn = el("span", { class: changed.has(number) ? "word changed" : "word" }, word.text);
    drawn.style.setProperty("--share", word.memory_share ?? 0);
    data.set(drawn, { word });
    element.append(found.text.slice(place, word.start), drawn);
    place = word.end;
  }
  element.append(found.text.slice(place, sentence.end));
  return element;
}

/** Which words are new: those outside the longest common part of the two lists. */
function changedWords(old, now) {
  const table = Array.from({ length: old.length + 1 }, () => new Uint16Array(now.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      table[i][j] = old[i].text === now[j].text
        ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const changed = new Set();
  let i = 0, j = 0;
  while (j < now.length) {
    if (i < old.length && old[i].text === now[j].text) { i++; j++; }
    else if (i < old.length && table[i + 1][j] >= table[i][j + 1]) i++;
    else changed.add(j++);
  }
  return changed;
}
