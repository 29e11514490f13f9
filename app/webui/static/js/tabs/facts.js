/** A fact with its name: plain, or mono with a button that copies all of it. */

import { h } from "../core/dom.js";
import { copy } from "../core/files.js";
import { word } from "../core/words.js";

export function fact(name, value, { mono = false, whole = null } = {}) {
  if (value === null || value === undefined || value === "") return null;
  const shown = h("dd", { class: mono ? "mono" : "", title: whole }, h("span", {}, String(value)), mono ? copyButton(whole ?? value, name) : null);
  return h("div", { class: "fact" }, h("dt", {}, name), shown);
}

export function copyButton(text, name) {
  const button = h("button", { type: "button", class: "fact-copy", "aria-label": word("log.copy_fact", { name }), onclick: async () => {
    button.textContent = word((await copy(text)) ? "log.fact_copied" : "log.fact_not_copied");
    setTimeout(() => (button.textContent = word("log.copy")), 2000);
  } }, word("log.copy"));
  return button;
}

/** The beginning of an id or a commit: the whole one is in the title and in the clipboard. */
export const short = (id, length = 10) => (id && id.length > length ? id.slice(0, length) : id);
