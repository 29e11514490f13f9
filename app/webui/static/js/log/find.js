/** Search in one log: all of it, also what is not here. Lines that have the text are gone through one by one. */

import { api } from "../core/api.js";
import { h, setHidden, setText } from "../core/dom.js";
import { word } from "../core/words.js";
import { icon } from "./icons.js";
import { findAll } from "./text.js";

const PAUSE = 180;
const MOST = 1000;

export class Find {
  /** `go(line)`: shows a line. `mark(query, line)`: what is highlighted. */
  constructor({ go, mark }) {
    Object.assign(this, { go, mark, model: null, query: "", lines: [], more: false, at: -1, timer: null, asked: 0 });
    this.field = h("input", { type: "search", placeholder: word("log.find"), "aria-label": word("log.find"), autocomplete: "off", spellcheck: "false" });
    this.count = h("span", { class: "log-count", role: "status" });
    this.previous = h("button", { type: "button", class: "log-button", "aria-label": word("log.previous"), title: word("log.previous") }, icon("previous"));
    this.next = h("button", { type: "button", class: "log-button", "aria-label": word("log.next"), title: word("log.next") }, icon("next"));
    this.box = h("div", { class: "log-find", role: "search" }, icon("find"), this.field, this.count, this.previous, this.next);
    this.field.addEventListener("input", () => this.#later());
    this.field.addEventListener("keydown", (event) => event.key === "Enter" && this.#entered(event));
    this.previous.addEventListener("click", () => this.#step(-1));
    this.next.addEventListener("click", () => this.#step(1));
    this.#tell();
  }

  /** Another log: nothing is looked for in it yet. */
  reset(model) {
    this.model = model;
    this.clear();
  }

  clear() {
    this.field.value = "";
    this.#set("", [], false);
  }

  /** The log has grown. */
  grown() {
    if (this.query && this.model.whole) this.#set(this.query, this.#here(), false, this.lines[this.at]);
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#look(), PAUSE);
  }

  async #look() {
    const query = this.field.value.trim().toLowerCase();
    const turn = (this.asked += 1);
    if (query === this.query) return;
    this.query = query;
    if (!query) return this.#set("", [], false);
    if (this.model.whole) this.#set(query, this.#here(), false);
    else await this.#ask(query, turn);
    if (turn === this.asked && this.lines.length) this.#step(0);
  }

  #here() {
    const { first, lines } = this.model;
    return lines.flatMap((line, index) => (findAll(line.text, this.query).length ? [first + index] : []));
  }

  async #ask(query, turn) {
    const { model } = this;
    const asked = new URLSearchParams({ q: query, limit: MOST, ...(model.pack === null ? { log: model.log } : { node: model.pack }) });
    try {
      const { matches, complete } = await api(`/tasks/${model.taskId}/log/search?${asked}`);
      if (turn === this.asked) this.#set(query, matches.map((match) => match.line), !complete);
    } catch (error) {
      if (turn === this.asked) setText(this.count, error.message);
    }
  }

  #set(query, lines, more, current = null) {
    Object.assign(this, { query, lines, more, at: current === null ? -1 : lines.indexOf(current) });
    this.mark(query, current ?? 0);
    this.#tell();
  }

  #tell() {
    const { lines, more, at } = this;
    const n = lines.length;
    const total = more ? word("log.find_more", { n }) : String(n);
    setText(this.count, !this.query ? "" : n ? (at < 0 ? word("log.find_count", { n }) : word("log.find_at", { at: at + 1, total })) : word(more ? "log.find_unfinished" : "log.find_none"));
    this.previous.disabled = this.next.disabled = !n;
    setHidden(this.previous, !this.query);
    setHidden(this.next, !this.query);
  }

  #entered(event) {
    event.preventDefault();
    if (this.field.value.trim().toLowerCase() !== this.query) {
      clearTimeout(this.timer);
      this.#look();
    } else this.#step(event.shiftKey ? -1 : 1);
  }

  /** To the next line with the text; 0: to the one nearest to what is seen. */
  #step(by) {
    const { lines } = this;
    if (!lines.length) return;
    this.at = by === 0 ? Math.max(0, lines.findIndex((line) => line >= this.model.first)) : (this.at + by + lines.length) % lines.length;
    this.mark(this.query, lines[this.at]);
    this.#tell();
    this.go(lines[this.at]);
  }
}
