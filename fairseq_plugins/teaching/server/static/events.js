// The lessons have changed: whoever shows something of them is told.

import { call } from "./api.js";
import { toast } from "./dom.js";

const NAME = "lessons-changed";
export const DONE = { teach: "taught", edit: "edited", forget: "forgotten", undo: "taken back" };

/** Call a function whenever the lessons have changed. */
export function onChange(listener) {
  document.addEventListener(NAME, listener);
}

/** Tell everybody that they have. */
export function changed() {
  document.dispatchEvent(new CustomEvent(NAME));
}

/** Undo the last change, and show what it was. */
export async function undo() {
  try {
    const change = await call("POST", "/undo");
    const what = change.lessons > 1 ? `${change.lessons.toLocaleString("en")} lessons` : `“${change.source}”`;
    toast(`Undone: ${what} ${change.lessons > 1 ? "were" : "was"} ${DONE[change.kind]}.`);
    changed();
  } catch (error) {
    toast(error.message);
  }
}

/** Do something that may fail, and say so if it does. */
export async function trying(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message);
    return null;
  }
}
