/** The part of one log that is here: lines without a gap, from any to any, asked for by number, and grown by bytes. What is
 *  far from what is looked at is let go, so that memory stays small however large the log is. */

import { api } from "../core/api.js";
import { lineOf } from "./text.js";

const PART_BYTES = 256 * 1024;
const MOST_LINES = 60000;
const MOST_CHARS = 16000000;
const DROP_LINES = 10000; // at once, so that it is seldom
const BEHIND_BYTES = 2 * 1024 * 1024; // from here on the end is asked for anew
const OPEN_CHARS = 32768;
const AROUND = 400; // lines behind the wanted one
export const END = 2 ** 53;

export class LogModel {
  /** `pack`: whose log; else `log`: which of the run's. */
  constructor(taskId, { pack = null, log = "run" } = {}) {
    Object.assign(this, { taskId, pack, log: log ?? "run", logs: [], size: 0, newest: 0, complete: false, deciding: null, wanted: true });
    this.#clear(1);
  }

  get last() {
    return this.first + this.lines.length - 1;
  }

  /** Whether every line is here. */
  get whole() {
    return this.first === 1 && this.atEnd;
  }

  /** The newest lines. */
  async tail() {
    this.#replace(await this.#ask({ before: END }));
  }

  /** The lines around one. */
  async around(line) {
    let part = await this.#ask({ before: line + AROUND });
    if (part.line > line || !part.text) part = await this.#ask({ line });
    this.#replace(part);
  }

  /** More lines before the first; how many came. */
  async earlier() {
    if (this.first === 1) return 0;
    const part = await this.#ask({ before: this.first });
    const lines = part.text.split("\n").slice(0, -1).map(lineOf);
    if (part.line + lines.length !== this.first) return 0; // another answer came between
    this.first = part.line;
    this.startsAt = part.offset;
    this.lines = lines.concat(this.lines);
    this.chars += length(lines);
    this.#dropLast();
    return lines.length;
  }

  /** What stands behind the last line here. `how`: "follow" goes to the end, over what nobody could read; "held" drops no
   *  line, and counts only where there are too many; "read" is for who scrolls there. Answers how many lines were dropped at
   *  the beginning; null for all of them. */
  async grow(how) {
    if (how === "held" && (this.#full() || this.next === null)) {
      this.#note(await this.#ask({ before: END, limit: 16 }));
      return 0;
    }
    const part = await this.#ask(this.next === null ? { line: this.last + 1 } : { offset: this.next });
    if (how === "follow" && part.size - part.next_offset > BEHIND_BYTES) {
      await this.tail();
      return null;
    }
    this.#append(part);
    return how === "held" ? 0 : this.#dropFirst();
  }

  /** All of it, as text, part by part; `most`: bytes. Null for more than that. */
  async text(most = Infinity) {
    if (this.size > most) return null;
    const found = [];
    let open = "";
    for (let offset = 0, more = true; more; ) {
      const part = await this.#ask({ offset, limit: 1024 * 1024 });
      const lines = (open + part.text).split("\n");
      open = lines.pop();
      if (lines.length) found.push(`${lines.map((raw) => lineOf(raw).text).join("\n")}\n`);
      offset = part.next_offset;
      more = Boolean(part.text) && offset < part.size;
    }
    if (open) found.push(lineOf(open).text);
    return found;
  }

  /** The first answer also says which line decided a failure, if one did. */
  async #ask(query) {
    const asked = new URLSearchParams(this.pack === null ? { log: this.log } : { node: this.pack });
    for (const [name, value] of Object.entries({ limit: PART_BYTES, ...query })) asked.set(name, value);
    if (this.wanted) asked.set("deciding", "true");
    const part = await api(`/tasks/${this.taskId}/log?${asked}`);
    if (this.wanted) this.deciding ??= part.deciding_line;
    this.wanted = false;
    return part;
  }

  #clear(first) {
    Object.assign(this, { lines: [], first, startsAt: 0, next: 0, open: "", chars: 0, atEnd: false });
  }

  #replace(part) {
    this.#clear(part.line);
    this.startsAt = part.offset;
    this.#append(part);
  }

  #append(part) {
    this.#note(part);
    const pieces = (this.open + part.text).split("\n");
    if (this.open) this.chars -= this.lines.pop()?.text.length ?? 0;
    this.open = shortened(pieces.pop());
    const lines = pieces.map(lineOf);
    if (this.open) lines.push(lineOf(this.open));
    for (const line of lines) this.lines.push(line);
    this.chars += length(lines);
    this.next = part.next_offset;
    this.atEnd = part.next_offset >= part.size;
  }

  #note(part) {
    Object.assign(this, { size: part.size, complete: part.complete, logs: part.logs, newest: part.lines });
  }

  #full() {
    return this.lines.length >= MOST_LINES || this.chars >= MOST_CHARS;
  }

  #dropFirst() {
    if (!this.#full()) return 0;
    const count = Math.min(DROP_LINES, this.lines.length - 1);
    this.chars -= length(this.lines.slice(0, count));
    this.lines = this.lines.slice(count);
    this.first += count;
    this.startsAt = null;
    return count;
  }

  #dropLast() {
    if (!this.#full()) return;
    const count = Math.min(DROP_LINES, this.lines.length - 1);
    this.chars -= length(this.lines.slice(-count));
    this.lines = this.lines.slice(0, -count);
    Object.assign(this, { next: null, open: "", atEnd: false });
  }
}

const length = (lines) => lines.reduce((sum, line) => sum + line.text.length, 0);

/** Of a line without an end as much as is shown: what was drawn last, or its beginning. */
function shortened(open) {
  if (open.length <= OPEN_CHARS) return open;
  const drawn = open.replace(/\r+$/, "");
  return drawn.slice(drawn.lastIndexOf("\r") + 1).slice(0, OPEN_CHARS);
}
