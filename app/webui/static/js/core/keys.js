/** Shortcuts of one key, or of two after each other ("g r"). Never in fields, never with Ctrl, Alt or Meta, not while a
 *  dialog is open; whoever has a screen reader or a voice that types can switch them off (WCAG 2.1.4). */

import { h } from "./dom.js";
import { recall, remember } from "./memory.js";
import { word } from "./words.js";

const WITHIN = 1500;
const known = new Map();
let [first, firstAt] = ["", 0];

export const keys = {
  /** `key`: "/", "?" or "g r"; `label`: the key of its words; `handler(event)`. Returns what takes it back. */
  register(key, label, handler) {
    known.set(key, { label, handler });
    return () => known.get(key)?.handler === handler && known.delete(key);
  },

  get on() {
    return recall("shortcuts", true) !== false;
  },

  set on(wanted) {
    remember("shortcuts", wanted);
  },
};

const inField = (target) => target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
  if (!keys.on || inField(event.target) || document.querySelector("dialog[open]")) return;
  const pair = `${first} ${event.key}`;
  const name = performance.now() - firstAt < WITHIN && known.has(pair) ? pair : event.key;
  [first, firstAt] = [event.key, performance.now()];
  const found = known.get(name);
  if (!found) return;
  event.preventDefault();
  first = "";
  found.handler(event);
});

/** The sheet that `?` shows: what is registered on this page, and the switch. */
export function showKeys() {
  if (document.querySelector("dialog[open]")) return;
  const box = h("input", { type: "checkbox" });
  box.checked = keys.on;
  box.addEventListener("change", () => { keys.on = box.checked; });
  const lines = [...known].map(([key, { label }]) => h("div", {}, h("dt", {}, key.split(" ").flatMap((one, index) => [index ? ` ${word("shell.keys_then")} ` : null, h("kbd", {}, one)])), h("dd", {}, word(label))));
  lines.push(h("div", {}, h("dt", {}, h("kbd", {}, "Esc")), h("dd", {}, word("shell.keys_close"))));
  const close = h("button", { type: "submit", class: "btn" }, word("common.close"));
  const form = h("form", { method: "dialog" }, h("h2", { id: "keys-title" }, word("shell.keys_title")), h("dl", { class: "keys-list" }, lines),
    h("label", { class: "check" }, box, word("shell.keys_switch")), h("div", { class: "row" }, close));
  const dialog = h("dialog", { "aria-labelledby": "keys-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
