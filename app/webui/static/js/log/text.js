/** Lines of logs as people read them: the last state of a line that was drawn again, colours as classes, nothing that steers. */

import { readable } from "../core/dom.js";

export const MOST_CHARS = 8000; // of one line; the rest is in the file
const PLAIN = /^[\u0020-\u007e]*$/;
const SEQUENCE = /\u001b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|[ -/]*[0-~]?)/g;
const TAB = 8;
const WORD_CHARS = 24; // so far back a line is broken at a space
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NO_WIDTH = /\p{M}/u;

/** A program that draws its line again has said what it drew last. */
export function lastDrawn(raw) {
  let end = raw.length;
  while (end > 0 && raw[end - 1] === "\r") end -= 1;
  return raw.slice(raw.lastIndexOf("\r", end - 1) + 1, end);
}

/** A line: its text, what it was made of where that has colours, whether each letter is one cell, how much was cut off. */
export function lineOf(raw) {
  const drawn = raw.includes("\r") ? lastDrawn(raw) : raw;
  const shown = drawn.length > MOST_CHARS ? drawn.slice(0, MOST_CHARS) : drawn;
  const plain = PLAIN.test(shown);
  const coloured = !plain && shown.includes("\u001b");
  return { text: plain ? shown : styled(shown).text, raw: coloured ? shown : null, plain, cut: drawn.length - shown.length };
}

/** The text of a line with colours, and its parts that have some: `[from, to, classes]`. */
export function styled(raw) {
  const style = new Style();
  const spans = [];
  let text = "";
  let at = 0;
  const add = (piece) => {
    const from = text.length;
    text = withoutTabs(text, readable(piece));
    const classes = style.classes();
    if (classes && text.length > from) spans.push([from, text.length, classes]);
  };
  for (const found of raw.matchAll(SEQUENCE)) {
    add(raw.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[2] === "m") style.take(found[1]);
  }
  add(raw.slice(at));
  return { text, spans };
}

function withoutTabs(before, piece) {
  let text = before;
  const parts = piece.split("\t");
  parts.forEach((part, index) => {
    text += part;
    if (index < parts.length - 1) text += " ".repeat(TAB - (text.length % TAB));
  });
  return text;
}

/** The sixteen colours and what else is simple of "Select Graphic Rendition"; other colours are left out. */
class Style {
  constructor() {
    this.reset();
  }

  reset() {
    Object.assign(this, { colour: null, bold: false, dim: false, line: false });
  }

  take(parameters) {
    const codes = parameters.split(";").map(Number);
    for (let index = 0; index < codes.length; index += 1) {
      const code = codes[index];
      if (code === 38 || code === 48) {
        if (code === 38) this.colour = codes[index + 1] === 5 && codes[index + 2] < 16 ? codes[index + 2] : null;
        index += codes[index + 1] === 5 ? 2 : 4;
      } else this.#one(code);
    }
  }

  #one(code) {
    if (code === 0) this.reset();
    else if (code === 1) this.bold = true;
    else if (code === 2) this.dim = true;
    else if (code === 22) Object.assign(this, { bold: false, dim: false });
    else if (code === 4 || code === 24) this.line = code === 4;
    else if (code >= 30 && code <= 37) this.colour = code - 30;
    else if (code >= 90 && code <= 97) this.colour = code - 82;
    else if (code === 39) this.colour = null;
  }

  classes() {
    const parts = [this.colour === null ? "" : `ansi-${this.colour}`, this.bold ? "ansi-bold" : "", this.dim ? "ansi-dim" : "", this.line ? "ansi-line" : ""];
    return parts.filter(Boolean).join(" ");
  }
}

/** Where the rows of a line begin when it is broken into `columns` cells, at spaces where one is near. */
export function rowStarts(line, columns) {
  const { text, plain } = line;
  if (plain && text.length <= columns) return [0];
  const starts = [0];
  let from = 0;
  for (;;) {
    const to = plain ? from + columns : fitting(text, from, columns);
    if (to >= text.length) return starts;
    const space = text.lastIndexOf(" ", to - 1);
    from = space >= from && space >= to - WORD_CHARS ? space + 1 : to;
    starts.push(from);
  }
}

function fitting(text, from, columns) {
  let cells = 0;
  let at = from;
  while (at < text.length) {
    const letter = String.fromCodePoint(text.codePointAt(at));
    cells += WIDE.test(letter) ? 2 : NO_WIDTH.test(letter) ? 0 : 1;
    if (cells > columns) return Math.max(at, from + 1);
    at += letter.length;
  }
  return at;
}

/** Where `query` (in small letters) stands in a text: `[from, to]` each. */
export function findAll(text, query) {
  const small = text.toLowerCase();
  const found = [];
  if (!query || small.length !== text.length) return found;
  for (let at = small.indexOf(query); at >= 0; at = small.indexOf(query, at + query.length)) found.push([at, at + query.length]);
  return found;
}
