/** A question before something that cannot be taken back: the dialog of the browser itself, so Escape and focus work. */

import { h } from "./dom.js";

/** Resolves to whether the person said yes. */
export function ask(title, text, yes, { danger = false } = {}) {
  return new Promise((answer) => {
    const no = h("button", { type: "submit", value: "no" }, "No, go back");
    const sure = h("button", { type: "submit", value: "yes", class: danger ? "danger" : "primary" }, yes);
    const form = h("form", { method: "dialog" }, h("h2", { id: "ask-title" }, title), h("p", { class: "soft" }, text), h("div", { class: "row" }, no, sure));
    const dialog = h("dialog", { "aria-labelledby": "ask-title" }, form);
    dialog.addEventListener("close", () => {
      answer(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
