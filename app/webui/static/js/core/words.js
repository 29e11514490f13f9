/** The words of the pages: one table, which the command line reads too (app/words). */

import { WORDS } from "./word-table.js";

/** The text of a key with its values in it; `n` chooses the plural form. */
export function word(key, values = {}) {
  let text = WORDS[key];
  if (text === undefined) throw new Error(`No word for ${key}`);
  if (typeof text !== "string") text = text[values.n === 1 ? "one" : "other"];
  return text.replace(/\{(\w+)\}/g, (found, name) => (name in values ? String(values[name]) : found));
}
