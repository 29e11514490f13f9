/** Who looks at these pages, where the service wants a login: a cookie that no script can read. It begins with a token,
 *  from the dialog or from an address that ends in #token=…, and lasts until somebody logs out, or its time is over.
 *
 *  Every request waits for `admitted` first, so that nothing is asked while no token is known; the dialog opens the gate
 *  for all of them, in all tabs, and the page goes on where it was. */

import { askForToken } from "./access-dialog.js";
import { at } from "./place.js";

const FRAGMENT = /^#token=(.*)$/;
const tabs = new BroadcastChannel("nodeferry-access");

let who = null; // the last answer of GET /session
let gate = null; // while it stands, a promise: nothing is asked
let open = () => {};
let logins = 0;
let dialog = null;

async function ask(method, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  try {
    const response = await fetch(at("/session"), { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(15000) });
    const said = await response.json().catch(() => ({}));
    return { ...said, ok: response.ok, status: response.status, retryAfter: Number(response.headers.get("Retry-After")) || 0 };
  } catch {
    return { ok: false, status: 0 };
  }
}

/** A token in the address is used and goes from there at once: neither the history nor a bookmark keeps it. Null: none. */
async function fromAddress() {
  const found = FRAGMENT.exec(location.hash);
  if (!found) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  let token = found[1];
  try {
    token = decodeURIComponent(token);
  } catch {
    // as it is, then
  }
  return logIn(token);
}

async function logIn(token) {
  const said = await ask("POST", { token });
  if (said.ok) letIn(said, true);
  return said;
}

function letIn(said, told) {
  who = said;
  logins += 1;
  document.documentElement.dataset.scope = said.scope ?? "all";
  if (told) tabs.postMessage("in");
  dialog?.close();
  dialog = null;
  gate = null;
  open();
  dispatchEvent(new CustomEvent("nodeferry:who", { detail: said }));
}

/** Nothing is asked any more until somebody has logged in. `since`: what `admitted` gave for the request that was refused:
 *  one from before a login says nothing. `said`: why the last token was not taken. */
export function tokenWanted({ since = logins, said = null } = {}) {
  if (since !== logins) return;
  gate ??= new Promise((opened) => { open = opened; });
  dialog ??= askForToken(logIn, { ended: who !== null, said });
}

/** Resolves when requests may go out, with how many logins there were. Rejects with what `signal` was aborted with. */
export async function admitted(signal) {
  await ready;
  while (gate) await within(gate, signal);
  return logins;
}

function within(promise, signal) {
  if (!signal) return promise;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const gone = () => reject(signal.reason);
    signal.addEventListener("abort", gone, { once: true });
    promise.then(resolve).finally(() => signal.removeEventListener("abort", gone));
  });
}

/** Where a login is needed, who is logged in is asked for before anything else is: one refusal, not one for each part. */
async function begin() {
  const used = await fromAddress();
  if (used?.ok || !("login" in document.documentElement.dataset)) return;
  const known = await ask("GET");
  if (known.ok) letIn(known, false);
  else if (known.status === 401) tokenWanted({ said: used });
}

async function lookAgain() {
  const known = await ask("GET");
  if (known.ok) letIn(known, false);
}

export async function logOut() {
  await ask("DELETE");
  tabs.postMessage("out");
  location.reload();
}

export const isReadOnly = () => who?.scope === "read-only";

const ready = begin();

tabs.addEventListener("message", ({ data }) => {
  if (data === "out") location.reload();
  else if (gate) lookAgain();
});
addEventListener("hashchange", async () => {
  const used = await fromAddress();
  if (used && !used.ok && used.status) tokenWanted({ said: used });
});
