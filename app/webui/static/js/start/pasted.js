/** What was pasted as text: its lines, and one message about all of them that cannot be read. */

import { word } from "../core/words.js";

const MOST_NAMED = 3;

/** The lines of a list of addresses as they were typed: the service reads them, and whole commands, in one place. */
export const linesOf = (text) => numbered(text).map(({ line }) => line);

/** The number by which a person finds an entry: of its line, or of the entry itself. */
function placer(text, manifest) {
  if (manifest.csv) return (place) => place;
  if (manifest.nodes) return (place) => place + 1;
  const lines = numbered(text);
  return (place) => lines[place]?.number;
}

/** Those lines with their numbers; one that ends in a backslash goes on in the next. */
function numbered(text) {
  const found = [];
  let open = null;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const goesOn = line.endsWith("\\");
    const part = goesOn ? line.slice(0, -1) : line;
    if (open) open.line += ` ${part.trim()}`;
    else open = { line: part, number: index + 1 };
    if (goesOn) continue;
    if (open.line.trim() && !/^\s*#(?!\s*git\s)/.test(open.line)) found.push(open);
    open = null;
  }
  return open?.line.trim() ? [...found, open] : found;
}

/** What is wrong with a list that the service has refused, by the lines of the text. `error`: an ApiError; `manifest`: what was
 *  asked. */
export function linesWrong(error, text, manifest) {
  const numberOf = placer(text, manifest);
  const wrong = error.wrongEntries.map(({ field, message }) => ({ number: numberOf(Number(/\[(\d+)\]/.exec(field)?.[1])), message: message.replace(/^Line \d+: /, "") })).filter(({ number }) => number);
  if (!wrong.length) return `${error.message} ${error.hint}`.trim();
  if (manifest.nodes) return word("start.entries_wrong", { n: wrong.length, why: wrong.slice(0, MOST_NAMED).map(({ number, message }) => word("start.entry_wrong", { n: number, why: message })).join("\n") });
  if (wrong.length === 1) return word("start.urls_wrong", { n: 1, lines: wrong[0].number, why: wrong[0].message });
  const named = wrong.slice(0, MOST_NAMED).map(({ number, message }) => word("start.urls_wrong_line", { line: number, why: message }));
  if (wrong.length > MOST_NAMED) named.push(word("start.urls_more", { lines: wrong.slice(MOST_NAMED).map(({ number }) => number).join(", ") }));
  return word("start.urls_wrong", { n: wrong.length, why: named.join("\n") });
}
