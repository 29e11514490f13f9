/** The session of this browser, where the service wants a login: a cookie that no script can read. It begins with a token,
 *  from the form or from an address that ends in #token=…, and lasts until somebody logs out, or its time is over. */

import { h } from "./dom.js";
import { at } from "./place.js";

const FRAGMENT = /^#token=(.*)$/;

async function ask(method, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const response = await fetch(at("/session"), { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(15000) });
  const said = await response.json().catch(() => ({}));
  return { ok: response.ok, ...said };
}

/** Logs in; what the service said, with `ok`. */
export const logIn = (token) => ask("POST", { token }).catch(() => ({ ok: false, message: "Nodeferry does not answer.", hint: "Is the service running?" }));

/** A token in the address is used and goes from there at once: neither the history nor a bookmark keeps it. */
async function fromAddress() {
  const found = FRAGMENT.exec(location.hash);
  if (!found) return false;
  history.replaceState(history.state, "", location.pathname + location.search);
  let token = found[1];
  try {
    token = decodeURIComponent(token);
  } catch {
    // as it is, then
  }
  return (await logIn(token)).ok;
}

async function showWho() {
  const known = await ask("GET").catch(() => ({ ok: false }));
  const node = document.getElementById("session");
  if (!known.ok || !known.login_needed || !node) return;
  const out = h("button", { type: "button", class: "small", onclick: () => ask("DELETE").finally(() => location.reload()) }, "Log out");
  const only = known.scope === "read-only" ? h("span", { class: "pill", "data-tone": "warn", title: `The token ${known.name} lets you look, not change anything.` }, "Read-only") : null;
  node.replaceChildren(...[only, out].filter(Boolean));
  node.hidden = false;
}

/** Resolves once a token in the address has been used. Every request waits for it. */
export const ready = fromAddress();

if ("login" in document.documentElement.dataset) ready.then(showWho);
addEventListener("hashchange", () => fromAddress().then((used) => used && location.reload()));
