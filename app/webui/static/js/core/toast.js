/** A short word about what was just done ("Copied"). It goes away by itself; nothing that must be read stands only here. */

import { h } from "./dom.js";

const SECONDS = 5;

/** `act`: `{ label, onclick }`, a button in it, which keeps it longer. It stays while it is pointed at or has the focus. */
export function toast(text, { act = null, seconds = act ? 3 * SECONDS : SECONDS } = {}) {
  const button = act ? h("button", { type: "button", class: "btn small" }, act.label) : null;
  const node = h("div", { class: "toast" }, h("span", {}, text), button);
  const gone = () => node.remove();
  button?.addEventListener("click", () => {
    gone();
    act.onclick();
  });
  const later = () => (node.matches(":hover, :focus-within") ? setTimeout(later, 1000) : gone());
  setTimeout(later, seconds * 1000);
  room().append(node);
  return gone;
}

function room() {
  const found = document.getElementById("toasts");
  if (found) return found;
  const made = h("div", { id: "toasts", class: "toasts", role: "status" });
  document.body.append(made);
  return made;
}
