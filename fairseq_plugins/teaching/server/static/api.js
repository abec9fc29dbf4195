// What the server is asked. It may want a token, which is kept until the tab is closed.

import { el, openDialog } from "./dom.js";

const TOKEN = "token";

/** What the server says is wrong. */
export class ApiError extends Error {}

function headers(more) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

/** Send a request and return its response; ask for the token if it is missing or wrong. */
export async function request(method, path, { query = {}, json, body, accept, signal } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== "");
  const search = new URLSearchParams(given).toString();
  const more = {};
  if (json !== undefined) more["Content-Type"] = "application/json";
  if (accept) more.Accept = accept;
  let response;
  try {
    response = await fetch(search ? `${path}?${search}` : path, {
      method, signal, headers: headers(more), body: json === undefined ? body : JSON.stringify(json),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is it still running?");
  }
  if (response.status === 401) {
    await askForToken(sessionStorage.getItem(TOKEN) !== null);
    return request(method, path, { query, json, body, accept, signal });
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({ error: response.statusText }));
    throw new ApiError(told.error);
  }
  return response;
}

/** Send a request and return the object that it is answered with. */
export async function call(method, path, options) {
  return (await request(method, path, options)).json();
}

/** Yield the objects of an answer that comes line by line. */
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const complete = (rest + value).split("\n");
    rest = complete.pop();
    for (const line of complete) yield JSON.parse(line);
  }
}

let asking = null;

function askForToken(wrong) {
  asking ??= new Promise((resolve) => {
    const input = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const dialog = openDialog("This server has a token", (close) =>
      el("form", { onsubmit: (event) => {
        event.preventDefault();
        sessionStorage.setItem(TOKEN, input.value.trim());
        close();
      } },
      wrong ? el("p", { class: "wrong", role: "alert" }, "This token is not correct.") : null,
      el("label", { class: "field" }, "Token, from whoever runs the server", input),
      el("div", { class: "actions" }, el("button", { class: "strong" }, "Continue"))));
    dialog.addEventListener("close", () => { asking = null; resolve(); }, { once: true });
  });
  return asking;
}
