/** The one dialog that asks for the token. It says why a token was not taken, and closes when one was, in any tab. */

import { h, setHidden, setText } from "./dom.js";
import { span } from "./format.js";
import { icon } from "./icons.js";
import { word } from "./words.js";

const DIALOG = "access";

/** `logIn(token)` answers what the service said; `ended`: whether somebody was logged in before. */
export function askForToken(logIn, { ended, said }) {
  const why = h("p", { class: "field-error", id: "access-why", role: "alert" });
  const field = h("input", { type: "password", id: "access-token", autocomplete: "current-password", spellcheck: "false", required: true, "aria-describedby": "access-why" });
  const go = h("button", { type: "submit", class: "btn primary" }, word("shell.log_in"));
  const user = h("input", { type: "text", autocomplete: "username", value: "nodeferry", hidden: true }); // password managers want one
  const form = h("form", {}, user,
    h("h2", { id: "access-title" }, word(ended ? "shell.session_ended" : "shell.token_title")),
    h("p", {}, word(ended ? "shell.session_ended_why" : "shell.token_why")),
    h("div", { class: "field" }, h("label", { for: "access-token" }, word("shell.token")), field, why),
    h("p", { class: "hint" }, word("shell.token_where"), " ", h("code", {}, "run.py token new")),
    h("div", { class: "row" }, go));
  const dialog = h("dialog", { id: DIALOG, "aria-labelledby": "access-title" }, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(logIn, { field, go, why });
  });
  const later = laterButton(() => show(dialog, field));
  dialog.addEventListener("close", () => setHidden(later, false));
  document.body.append(dialog, later);
  if (said) refuse(said, { field, go, why });
  show(dialog, field);
  return { close: () => { dialog.close(); dialog.remove(); later.remove(); } };
}

function show(dialog, field) {
  dialog.showModal();
  field.focus();
}

/** Stands where the dialog was, for whoever has closed it to look at the page. */
function laterButton(open) {
  const button = h("button", { type: "button", class: "btn small", onclick: open }, word("shell.log_in"));
  return h("div", { class: "banner", hidden: true }, icon("lock"), h("span", {}, word("shell.token_missing")), button);
}

async function attempt(logIn, parts) {
  const token = parts.field.value.trim();
  if (!token) return;
  parts.go.disabled = true;
  const said = await logIn(token);
  parts.go.disabled = false;
  if (!said.ok) refuse(said, parts);
}

function refuse(said, { field, go, why }) {
  field.setAttribute("aria-invalid", "true");
  if (field.isConnected) field.select();
  if (said.status === 429) return waitFor(said.retryAfter, { go, why });
  if (said.status === 401) return setText(why, word("shell.token_wrong"));
  setText(why, said.status ? [said.message, said.hint].filter(Boolean).join(" ") : word("shell.away"));
}

/** Too many wrong ones: a countdown, and the button is no use before. */
function waitFor(seconds, { go, why }) {
  const until = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    go.disabled = left > 0;
    setText(why, left > 0 ? word("shell.token_too_many", { wait: span(left) }) : word("shell.token_again"));
    if (left > 0) setTimeout(tick, 1000);
  };
  tick();
}
