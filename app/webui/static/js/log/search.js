/** Search in all logs of a run: how many lines in how many logs have a text, and the lines, each a way to its log. */

import { api } from "../core/api.js";
import { h, setHidden, setText } from "../core/dom.js";
import { word } from "../core/words.js";
import { logName } from "./picker.js";
import { findAll } from "./text.js";

const PAUSE = 300;
const LEAST_CHARS = 3;
const SHOWN = 6; // lines of each log

export class LogSearch {
  /** `onOpen({ pack, log, line })` is called for the line that a person chose. `element` is to be put into the page. */
  constructor(taskId, onOpen) {
    Object.assign(this, { taskId, onOpen, query: "", timer: null, busy: null });
    this.summary = h("summary", {});
    this.list = h("div", { class: "log-hits" });
    this.details = h("details", { class: "log-search-found", hidden: true }, this.summary, this.list);
    this.status = h("p", { class: "visually-hidden", role: "status" });
    this.element = h("div", { class: "log-search" }, this.details, this.status);
  }

  /** Another task of the same run. */
  of(taskId) {
    if (taskId === this.taskId) return;
    this.taskId = taskId;
    const { query } = this;
    this.search("");
    this.search(query);
  }

  /** What stands in the page's search field now. */
  search(text) {
    const query = text.trim();
    if (query === this.query) return;
    this.query = query;
    clearTimeout(this.timer);
    this.busy?.abort();
    if (query.length < LEAST_CHARS) this.#show([], true);
    else this.timer = setTimeout(() => this.#ask(query), PAUSE);
  }

  async #ask(query) {
    this.busy = new AbortController();
    try {
      const { matches, complete } = await api(`/tasks/${this.taskId}/log/search?${new URLSearchParams({ q: query })}`, { signal: this.busy.signal });
      if (query === this.query) this.#show(matches, complete);
    } catch (error) {
      if (error.name !== "AbortError" && query === this.query) this.#show([], true, error.message);
    }
  }

  #show(matches, complete, trouble = "") {
    const logs = Map.groupBy(matches, (match) => match.node ?? `\u0000${match.log}`);
    const lines = word(complete ? "log.lines_found" : "log.lines_found_more", { n: matches.length });
    const said = trouble || (matches.length ? word("log.in_logs", { lines, logs: word(matches.every((match) => match.node) ? "common.packs" : "log.logs_found", { n: logs.size }) }) : complete ? "" : word("log.find_unfinished"));
    setText(this.summary, said);
    setText(this.status, said);
    setHidden(this.details, !said);
    this.list.replaceChildren(...[...logs.values()].map((hits) => this.#log(hits)));
  }

  #log(hits) {
    const [{ node, log }] = hits;
    const name = node ?? logName(log);
    const more = hits.length > SHOWN ? h("li", { class: "soft small" }, word("log.more_lines", { n: hits.length - SHOWN })) : null;
    return h("section", { "aria-label": name }, h("h3", {}, name), h("ul", {}, hits.slice(0, SHOWN).map((hit) => h("li", {}, this.#line(hit))), more));
  }

  #line({ node, log, line, text }) {
    const open = () => this.onOpen({ pack: node, log, line });
    return h("button", { type: "button", class: "log-hit", onclick: open }, h("span", { class: "log-hit-line" }, String(line)), h("span", { class: "log-hit-text" }, marked(text.trimStart(), this.query)));
  }
}

function marked(text, query) {
  const found = findAll(text, query.toLowerCase());
  let at = 0;
  const parts = found.flatMap(([from, to]) => {
    const before = text.slice(at, from);
    at = to;
    return [before, h("mark", {}, text.slice(from, to))];
  });
  return [...parts, text.slice(at)];
}
