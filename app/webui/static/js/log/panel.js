/** The log of one node pack, or of the whole run, beside the rows: a column where there is room, else a sheet from below. */

import { h, setAttribute, setHidden, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { bytes } from "../core/format.js";
import { recall, remember } from "../core/memory.js";
import { Poller } from "../core/poller.js";
import { word } from "../core/words.js";
import { Find } from "./find.js";
import { icon } from "./icons.js";
import { LogModel } from "./model.js";
import { Picker } from "./picker.js";
import { Sheet } from "./sheet.js";
import { LogView } from "./view.js";

const LOOK = 1000;
const COPIED_BYTES = 8 * 1024 * 1024;

export class LogPanel {
  /** `element` gets the events "log:line" { line, to }, "log:chosen" { pack, log } and "log:close". */
  constructor(element) {
    Object.assign(this, { element, model: null, poller: null, running: false, busy: false, then: null, pinned: null, seen: 0 });
    this.view = new LogView({
      pick: (line, extended) => this.#pick(line, extended),
      near: (side) => this.#more(side).catch((error) => this.#says(error.message)),
      followed: () => this.#tell(),
      address: (line) => this.#address(line),
    });
    this.find = new Find({ go: (line) => this.#go(line), mark: (query, line) => this.view.setQuery(query, line) });
    this.picker = new Picker((chosen) => this.#choose(chosen));
    this.#build();
    this.sheet = new Sheet(element, this.root, { close: () => this.close(), moved: () => this.view.restore() });
    this.view.setWrap(recall("log-wrap", true) === true);
    setAttribute(this.wrapButton, "aria-pressed", String(this.view.wrap));
  }

  /** Shows a log. `line`: a number, or two with "-" between; else the line that decided a failure, else the end. */
  async open({ taskId, pack = null, log = "run", line = null, running = false, decidingLine = null }) {
    this.#stop();
    const model = new LogModel(taskId, { pack, log });
    Object.assign(this, { taskId, model, running, seen: 0, link: null });
    model.deciding = decidingLine;
    this.find.reset(model);
    this.picker.choose(pack, log);
    this.sheet.show(pack ?? word("log.whole_run"));
    this.#pinTo(line);
    this.view.setFollow(false);
    this.#says("");
    try {
      await this.#first(model);
      if (this.model === model && !model.complete) this.#follow(model);
    } catch (error) {
      if (this.model === model) this.#says(error.message);
    }
  }

  close() {
    if (!this.model) return;
    this.#stop();
    this.model = null;
    this.view.hide();
    this.sheet.hide();
    this.element.dispatchEvent(new CustomEvent("log:close"));
  }

  /** What the run's progress says: which packs there are, and whether more may be written. */
  update(progress) {
    this.picker.packs(progress.nodes);
    if (!this.model || progress.task_id !== this.taskId) return;
    this.running = progress.in_progress;
    this.#tell();
  }

  async #first(model) {
    await (this.pinned ? model.around(this.pinned[0]) : model.tail());
    if (this.model !== model) return;
    this.picker.logs(model.logs);
    this.view.show(model);
    const wanted = this.pinned?.[0] ?? model.deciding;
    if (model.lines.length) await this.#go(wanted ?? model.last);
    if (!wanted) this.view.setFollow(true);
    this.seen = model.newest;
    this.#tell();
  }

  #follow(model) {
    const look = async () => {
      await this.#changing(async () => {
        do this.#took(model, await model.grow(this.view.follow ? "follow" : "held"));
        while (this.model === model && this.view.follow && !model.atEnd);
      });
      return !model.complete;
    };
    this.poller = new Poller(look, { interval: LOOK }).start();
  }

  /** Lines before the first, or behind the last that is here, as one scrolls to them. */
  #more(side) {
    const { model } = this;
    return this.#changing(async () => {
      if (side === "start") this.#took(model, -(await model.earlier()));
      else this.#took(model, await model.grow("read"));
    }, side);
  }

  /** One change of the lines at a time; what was wanted meanwhile comes after it. */
  async #changing(change, side = null) {
    if (this.busy) {
      this.then = side ?? this.then;
      return;
    }
    this.busy = true;
    try {
      await change();
    } finally {
      this.busy = false;
      const { then } = this;
      this.then = null;
      if (then && this.model) this.#more(then).catch((error) => this.#says(error.message));
    }
  }

  /** `dropped` lines at the beginning (negative: so many came); null: all of them. */
  #took(model, dropped) {
    if (this.model !== model) return;
    if (dropped === null) this.view.show(model);
    else this.view.changed(-dropped);
    this.find.grown();
    this.#tell();
  }

  async #go(line) {
    const { model } = this;
    this.view.setFollow(false);
    if (line < model.first || line > model.last) {
      await model.around(line);
      if (this.model !== model) return;
      this.view.show(model);
    }
    this.view.reveal(line);
    this.#tell();
  }

  async #end() {
    const { model } = this;
    if (!model.atEnd) await model.tail();
    if (this.model !== model) return;
    this.view.show(model);
    this.view.reveal(model.last);
    this.view.setFollow(true);
    this.#tell();
  }

  #pick(line, extended) {
    const from = extended && this.pinned ? Math.min(this.pinned[0], line) : line;
    const to = extended && this.pinned ? Math.max(this.pinned[1], line) : line;
    this.#pinTo(from === to ? from : `${from}-${to}`);
    this.view.setFollow(false);
    this.element.dispatchEvent(new CustomEvent("log:line", { detail: { line: from, to } }));
    this.#tell();
  }

  #choose({ pack, log }) {
    this.open({ taskId: this.taskId, pack, log, running: this.running });
    this.element.dispatchEvent(new CustomEvent("log:chosen", { detail: { pack, log } }));
  }

  #pinTo(text) {
    const [from, to] = String(text ?? "").split("-").map(Number);
    this.pinned = from > 0 ? [from, to > from ? to : from] : null;
    this.view.setChosen(this.pinned?.[0] ?? null, this.pinned?.[1]);
    setText(this.copyButton.lastChild, word(this.pinned ? "log.copy_lines" : "log.copy"));
  }

  #address(line) {
    if (!this.link) {
      const address = new URL(location.href);
      address.searchParams.delete("line");
      if (this.model.pack !== null) address.searchParams.set("pack", this.model.pack);
      this.link = `${address.pathname}?${address.searchParams}${address.searchParams.size ? "&" : ""}line=`;
    }
    return `${this.link}${line}`;
  }

  #stop() {
    this.poller?.stop();
    this.poller = null;
  }

  /** What is not here is said, with its size: nobody takes the first line that is shown for the first one. */
  #tell() {
    const { model, view } = this;
    if (!model) return;
    const empty = model.size === 0;
    setHidden(this.empty, !empty);
    setText(this.empty, word(this.running ? "log.empty_yet" : "log.empty"));
    const lines = word("log.line_count", { n: model.newest });
    const before = model.first > 1 ? word(model.startsAt === null ? "log.before_lines" : "log.before", { n: model.first - 1, size: bytes(model.startsAt ?? 0) }) : "";
    setText(this.facts, empty ? "" : [before, `${lines}, ${bytes(model.size)}`].filter(Boolean).join(" · "));
    if (view.follow) this.seen = model.newest;
    const fresh = Math.max(0, model.newest - this.seen);
    setHidden(this.followButton, empty || view.follow || !this.running);
    setText(this.followButton.lastChild, fresh ? word("log.follow_new", { n: fresh }) : word("log.follow"));
    setHidden(this.decidingButton, !model.deciding);
  }

  #says(text) {
    setText(this.said, text);
    setHidden(this.said, !text);
    setHidden(this.facts, Boolean(text));
    clearTimeout(this.saidTimer);
    if (text) this.saidTimer = setTimeout(() => this.#says(""), 6000);
  }

  async #copy() {
    const { model, pinned } = this;
    const here = pinned && pinned[0] >= model.first && pinned[1] <= model.last;
    const parts = here ? [model.lines.slice(pinned[0] - model.first, pinned[1] - model.first + 1).map((line) => line.text).join("\n")] : await model.text(COPIED_BYTES);
    if (!parts) return this.#says(word("log.too_long"));
    const copied = await copy(parts.join(""));
    this.#says(word(!copied ? "log.no_clipboard" : here ? "log.copied_lines" : "log.copied", { n: here ? pinned[1] - pinned[0] + 1 : 0 }));
  }

  async #download() {
    const { model } = this;
    this.#says(word("log.downloading"));
    const parts = await model.text();
    const address = URL.createObjectURL(new Blob(parts, { type: "text/plain;charset=utf-8" }));
    const name = `${model.pack ?? model.log}-${model.taskId.slice(0, 8)}.log`.replace(/[^\w.-]+/g, "_");
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    this.#says("");
  }

  #button(name, action, label = false) {
    const text = word(`log.${name}`);
    const run = () => Promise.resolve(action()).catch((error) => this.#says(error.message));
    const named = label ? { title: text } : { "aria-label": text, title: text };
    return h("button", { type: "button", class: "log-button", onclick: run, ...named }, icon(name), label ? h("span", {}, text) : null);
  }

  #build() {
    this.wrapButton = this.#button("wrap", () => this.#wrap());
    this.copyButton = this.#button("copy", () => this.#copy(), true);
    this.followButton = h("button", { type: "button", class: "log-follow primary", hidden: true, onclick: () => this.#end() }, icon("bottom"), h("span", {}, ""));
    this.decidingButton = h("button", { type: "button", class: "log-deciding", hidden: true, onclick: () => this.#go(this.model.deciding) }, word("log.deciding"));
    this.facts = h("span", { class: "log-facts" });
    this.said = h("span", { class: "log-said", role: "status", hidden: true });
    this.empty = h("p", { class: "log-empty soft", hidden: true });
    const close = this.#button("close", () => this.close());
    const head = h("div", { class: "log-head" }, this.picker.box, this.decidingButton, close);
    const tools = h("div", { class: "log-tools" }, this.find.box, this.wrapButton, this.copyButton, this.#button("download", () => this.#download()));
    const body = h("div", { class: "log-body" }, this.view.box, this.empty, this.followButton);
    const foot = h("div", { class: "log-foot" }, this.facts, this.said, this.#button("top", () => this.#go(1)), this.#button("bottom", () => this.#end()));
    this.root = h("div", { class: "log-panel" }, head, tools, body, foot);
    this.root.addEventListener("keydown", (event) => this.#key(event));
  }

  #wrap() {
    this.view.setWrap(!this.view.wrap);
    remember("log-wrap", this.view.wrap);
    setAttribute(this.wrapButton, "aria-pressed", String(this.view.wrap));
  }

  #key(event) {
    const finds = event.key.toLowerCase() === "f" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
    if (finds) this.find.field.select();
    if (finds) this.find.field.focus();
    else if (event.key === "Escape" && this.find.query) this.find.clear();
    else if (event.key === "Escape") this.close();
    else if (event.target === this.view.box && event.key === "Home") this.#go(1);
    else if (event.target === this.view.box && event.key === "End") this.#end();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
