/** A question before something that cannot be taken back: the dialog of the browser itself, so Escape and focus work. */

import { h } from "./dom.js";
import { word } from "./words.js";

let made = 0;

/** Resolves to whether the person said yes. `no`: other words of the button that leaves all as it is. */
export function ask(title, text, yes, { danger = false, no = word("common.go_back") } = {}) {
  return new Promise((answer) => {
    const back = h("button", { type: "submit", value: "no", class: "btn" }, no);
    const sure = h("button", { type: "submit", value: "yes", class: danger ? "btn danger" : "btn primary" }, yes);
    const { dialog } = openDialog({ title, body: [h("p", { class: "soft" }, text), h("div", { class: "row" }, back, sure)] });
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"));
    back.focus();
  });
}

/** A dialog with this title and these nodes in a form that closes it; it is gone once it is closed, and the focus is where
 *  it was before. `sheet`: from the side, from below on a phone. */
export function openDialog({ title, body, sheet = false }) {
  made += 1;
  const id = `dialog-${made}`;
  const form = h("form", { method: "dialog" }, h("h2", { id }, title), body);
  const dialog = h("dialog", { "aria-labelledby": id, class: sheet ? "sheet" : null }, form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (document.activeElement === document.body) document.getElementById("main").focus({ preventScroll: true }); // what opened it is gone
  });
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && sheet && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, form };
}
