/** Lines in a scrolled box, of which only those in view are in the page. Each row is as high as every other, broken lines
 *  have whole rows, so that where a line stands is known without asking the browser. */

import { h, readable } from "../core/dom.js";
import { word } from "../core/words.js";
import { findAll, rowStarts, styled } from "./text.js";

const OVERSCAN = 24;
const RULER = 100;
const NEAR_ROWS = 40; // so near the first or last row more is asked for

export class LogView {
  /** `pick(line, extended)`: a number was clicked. `near("start" | "end")`: more lines are wanted. `followed(on)`: it began or
   *  ended by scrolling. `address(line)`: of a line. */
  constructor({ pick, near, followed, address }) {
    Object.assign(this, { pick, near, followed, address, model: null, wrap: false, follow: false, query: "", current: 0, chosen: null, stamp: 0 });
    Object.assign(this, { top: 0, height: 0, width: 0, cell: 8, columns: 80, tops: null, total: 0, widest: 0, nodes: new Map(), frame: 0, drawn: null });
    this.row = matchMedia("(pointer: coarse)").matches ? 24 : 20;
    this.window = h("div", { class: "log-window" });
    this.space = h("div", { class: "log-space" }, this.window);
    this.ruler = h("span", { class: "log-ruler", "aria-hidden": "true" }, "0".repeat(RULER));
    this.box = h("div", { class: "log-scroll", tabindex: "0", role: "region", "aria-label": word("log.lines") }, this.space, this.ruler);
    this.box.style.setProperty("--row", `${this.row}px`);
    this.#listen();
  }

  #listen() {
    this.box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.box.addEventListener("copy", (event) => this.#copied(event));
    this.window.addEventListener("click", (event) => {
      const number = event.target.closest(".log-number");
      if (!number || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.pick(Number(number.parentElement.dataset.line), event.shiftKey);
    });
    document.addEventListener("selectionchange", () => {
      const selection = getSelection();
      if (this.follow && !selection.isCollapsed && this.box.contains(selection.anchorNode)) this.#follows(false);
    });
    const sizes = new ResizeObserver((entries) => entries.forEach((entry) => this.#sized(entry)));
    sizes.observe(this.box);
    sizes.observe(this.ruler);
  }

  /** Another log, or another part of it. */
  show(model) {
    this.model = model;
    this.widest = 0;
    this.stamp += 1;
    this.#measure();
    this.draw();
  }

  /** Nobody sees it any more: what was to be drawn is not. */
  hide() {
    cancelAnimationFrame(this.frame);
    Object.assign(this, { frame: 0, model: null });
  }

  /** The model has more lines at its end, or others at its beginning: `added` (negative: dropped). */
  changed(added = 0) {
    const rowsBefore = added < 0 ? this.#rowsOf(Math.min(-added, this.measured)) : 0;
    this.#measure(added === 0);
    if (added > 0) this.#jump(this.top + this.#rowsOf(added) * this.row);
    if (added < 0) this.#jump(this.top - rowsBefore * this.row);
    this.draw();
  }

  setWrap(wrap) {
    if (wrap === this.wrap) return;
    this.#keeping(() => {
      this.wrap = wrap;
    });
  }

  setQuery(query, current) {
    if (query === this.query && current === this.current) return;
    Object.assign(this, { query, current });
    this.stamp += 1;
    this.draw();
  }

  setChosen(from, to) {
    this.chosen = from === null ? null : [from, to];
    this.stamp += 1;
    this.draw();
  }

  setFollow(follow) {
    this.follow = follow;
    this.draw();
  }

  /** A line in the middle of the box. */
  reveal(line) {
    const index = line - this.model.first;
    if (index < 0 || index >= this.model.lines.length) return;
    this.follow = false;
    this.#jump(this.#rowsOf(index) * this.row - Math.max(0, this.height / 2 - this.row));
    this.draw();
  }

  /** Where a moved box was: a node that goes elsewhere in the page forgets it. */
  restore() {
    this.#jump(this.top);
  }

  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.#draw());
  }

  #sized({ target, contentRect: { width, height } }) {
    if (target === this.ruler) this.cell = width / RULER || this.cell;
    else Object.assign(this, { width, height });
    this.#keeping(() => {});
  }

  /** What stands at the top stays there while rows become others. */
  #keeping(change) {
    if (!this.model) return change();
    const index = this.#indexAt(Math.floor(this.top / this.row));
    change();
    this.stamp += 1;
    this.#measure();
    this.#jump(this.#rowsOf(index) * this.row);
    this.draw();
  }

  /** The rows of all lines; `more`: only what is behind those that were measured. */
  #measure(more = false) {
    const { lines, last } = this.model;
    this.digits = Math.max(3, String(last).length);
    const columns = Math.max(20, Math.floor((this.width - 16) / this.cell) - this.digits - 3);
    const anew = !more || columns !== this.columns || !this.tops;
    this.columns = columns;
    if (this.wrap) this.#count(anew);
    else this.tops = null;
    this.measured = lines.length;
    this.total = (this.tops ? this.tops.at(-1) : lines.length) * this.row;
  }

  #count(anew) {
    const { lines } = this.model;
    const tops = anew ? [0] : this.tops;
    if (!anew) tops.length = Math.max(1, this.measured); // the last line may have grown
    for (let index = tops.length - 1; index < lines.length; index += 1) tops.push(tops[index] + rowStarts(lines[index], this.columns).length);
    this.tops = tops;
  }

  #rowsOf(index) {
    return this.tops ? this.tops[Math.min(index, this.tops.length - 1)] : index;
  }

  #indexAt(row) {
    const { lines } = this.model;
    if (!this.tops) return Math.max(0, Math.min(row, lines.length - 1));
    let [low, high] = [0, lines.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= row) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  #jump(top) {
    this.space.style.height = `${this.total}px`;
    this.top = Math.max(0, Math.min(top, this.total - this.height));
    this.box.scrollTop = this.top;
  }

  #scrolled() {
    if (!this.model) return;
    const top = this.box.scrollTop;
    const atEnd = top + this.height >= this.total - this.row;
    const up = top < this.top - 2;
    this.top = top;
    if (this.follow && up && !atEnd) this.#follows(false);
    else if (!this.follow && !up && atEnd && this.model.atEnd) this.#follows(true);
    if (top < NEAR_ROWS * this.row && this.model.first > 1) this.near("start");
    if (top + this.height > this.total - NEAR_ROWS * this.row && !this.model.atEnd) this.near("end");
    this.draw();
  }

  #follows(on) {
    this.follow = on;
    this.followed(on);
  }

  #draw() {
    this.frame = 0;
    const { model, row } = this;
    if (!model || !this.height) return;
    if (this.follow) this.#jump(this.total);
    else if (this.space.style.height !== `${this.total}px`) this.space.style.height = `${this.total}px`;
    const from = this.#indexAt(Math.floor(this.top / row) - OVERSCAN);
    const to = Math.min(model.lines.length, this.#indexAt(Math.ceil((this.top + this.height) / row) + OVERSCAN) + 1);
    this.#fill(from, to);
    this.window.style.transform = `translateY(${this.#rowsOf(from) * row}px)`;
    this.window.style.setProperty("--digits", this.digits);
    if (this.wrap) return;
    for (let index = from; index < to; index += 1) this.widest = Math.max(this.widest, model.lines[index].text.length);
    if (this.space.widest !== this.widest) this.space.style.setProperty("--widest", this.widest + this.digits + 3);
    this.space.widest = this.widest;
  }

  #fill(from, to) {
    const { first, lines } = this.model;
    for (const [number, node] of this.nodes) {
      if (number >= first + from && number < first + to) continue;
      node.remove();
      this.nodes.delete(number);
    }
    let before = this.window.firstChild;
    for (let index = from; index < to; index += 1) {
      const number = first + index;
      let node = this.nodes.get(number);
      if (!node) {
        node = this.#node(number);
        this.nodes.set(number, node);
      }
      if (node === before) before = before.nextSibling;
      else this.window.insertBefore(node, before);
      if (node.line !== lines[index] || node.stamp !== this.stamp) this.#write(node, number, lines[index]);
    }
  }

  #node(number) {
    const link = h("a", { class: "log-number", tabindex: "-1" }, String(number));
    return h("div", { class: "log-line", "data-line": number }, link, h("span", { class: "log-text" }));
  }

  #write(node, number, line) {
    Object.assign(node, { line, stamp: this.stamp });
    node.toggleAttribute("data-chosen", Boolean(this.chosen && number >= this.chosen[0] && number <= this.chosen[1]));
    node.firstChild.href = this.address(number);
    const deciding = number === this.model.deciding;
    node.toggleAttribute("data-deciding", deciding);
    if (deciding) node.firstChild.title = word("log.deciding_mark");
    node.lastChild.replaceChildren(...this.#content(line, number));
  }

  #content(line, number) {
    const spans = line.raw === null ? [] : styled(line.raw).spans;
    const marks = findAll(line.text, this.query);
    const starts = this.wrap ? rowStarts(line, this.columns) : [0];
    const rows = starts.map((from, index) => parts(line.text, from, starts[index + 1] ?? line.text.length, spans, marks, number === this.current));
    const more = line.cut ? h("span", { class: "log-cut" }, word("log.line_cut", { n: line.cut })) : null;
    if (!this.wrap) return [...rows[0], ...(more ? [more] : [])];
    return rows.map((row, index) => h("span", { class: "log-row" }, row, index === rows.length - 1 ? more : null));
  }

  /** Broken lines are whole ones in the clipboard, and have no numbers. */
  #copied(event) {
    const range = getSelection().rangeCount ? getSelection().getRangeAt(0) : null;
    const texts = range ? [...range.cloneContents().querySelectorAll(".log-text")] : [];
    if (texts.length < 1) return;
    event.preventDefault();
    event.clipboardData.setData("text/plain", texts.map((text) => text.textContent).join("\n"));
  }
}

/** A piece of a line as nodes: colours and what was found are elements around text. */
function parts(text, from, to, spans, marks, current) {
  if (!spans.length && !marks.length) return [document.createTextNode(readable(text.slice(from, to)))];
  const edges = [...spans, ...marks].flatMap(([begin, end]) => [begin, end]).filter((edge) => edge > from && edge < to);
  const cuts = [...new Set([from, ...edges, to])].sort((one, other) => one - other);
  return cuts.slice(0, -1).map((begin, index) => {
    const piece = text.slice(begin, cuts[index + 1]);
    const classes = spans.find((span) => span[0] <= begin && span[1] > begin)?.[2];
    const inside = classes ? h("span", { class: classes }, piece) : document.createTextNode(readable(piece));
    const marked = marks.some((mark) => mark[0] <= begin && mark[1] > begin);
    return marked ? h("mark", current ? { "data-current": "" } : {}, inside) : inside;
  });
}
