// Elements, messages and dialogs. Texts become text nodes only: nothing that was taught is ever
// read as HTML.

const byId = (id) => document.getElementById(id);

/** Make an element. Attributes that begin with "on" are listeners; null and false leave one out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Tell screen readers. */
export function announce(text) {
  byId("live").textContent = text;
}

let toasting;

/** Show what was done, for some seconds, perhaps with something to do about it. */
export function toast(text, action = null) {
  const box = byId("toast");
  const hide = () => { box.hidden = true; };
  const button = action && el("button", { type: "button", onclick: () => { hide(); action.run(); } }, action.name);
  box.replaceChildren(...[el("span", {}, text), button].filter(Boolean));
  box.hidden = false;
  clearTimeout(toasting);
  toasting = setTimeout(hide, action ? 10_000 : 5_000);
}

/** Show a dialog; its content is made by a function that is given what closes it. */
export function openDialog(title, content) {
  const dialog = byId("dialog");
  const close = () => {
    dialog.close();
    // Chromium gives the focus back, but not the selection, without which nothing can be typed.
    const focused = document.activeElement;
    focused.blur();
    focused.focus();
  };
  dialog.replaceChildren(el("h2", { id: "dialog-title" }, title), content(close));
  if (!dialog.open) dialog.showModal();
  return dialog;
}

/** The parts of a text around the first place of a word in it, which is marked. */
export function withMark(text, word) {
  const bare = word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
  for (const wanted of [word, bare].filter(Boolean)) {
    const exactly = wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const found = new RegExp(`(?<![\\p{L}\\p{N}])${exactly}(?![\\p{L}\\p{N}])`, "u").exec(text);
    if (found) {
      const end = found.index + wanted.length;
      return [text.slice(0, found.index), el("mark", {}, wanted), text.slice(end)];
    }
  }
  return [text];
}

/** A share from 0 to 1 as people read it. */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** A number of things, in words. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** A time of the server as the reader writes times. */
export function when(time) {
  const date = new Date(time);
  return Number.isNaN(date.valueOf()) ? time
    : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
