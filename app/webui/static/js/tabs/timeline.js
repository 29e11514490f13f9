/** Who did what when: a row a node pack, in the list's own order, drawn from the times at which packs came into their states.
 *  A part that goes on ends where the run was last heard of. */

import { h, patchList, setAttribute, setHidden, setPart, setText } from "../core/dom.js";
import { span } from "../core/format.js";
import { word } from "../core/words.js";
import { isHidden } from "./about.js";
import { lastHeard, longest, partsOf, ticksOf, timeOf, totalOf } from "./times.js";

const LEGEND = ["clone", "wait", "install", "verify", "failed"];

export class TimelineTab {
  constructor(element) {
    Object.assign(this, { element, progress: null, sorted: false, current: null });
    this.sort = h("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => this.#sort() }, word("log.slowest_first"));
    this.says = h("p", { class: "timeline-says", "aria-hidden": "true" }, word("log.timeline_hint"));
    this.slowest = h("ul", { class: "timeline-slowest", "aria-label": word("log.slowest") });
    this.longest = h("div", { class: "timeline-longest" }, h("span", { class: "timeline-slowest-name" }, word("log.slowest")), this.slowest);
    this.axis = h("div", { class: "timeline-ticks", "aria-hidden": "true" });
    this.rows = h("ol", { class: "timeline-rows", "aria-label": word("log.timeline_rows") });
    this.empty = h("p", { class: "tab-empty soft" }, word("log.timeline_empty"));
    const legend = h("p", { class: "timeline-legend" }, LEGEND.map((part) => h("span", { class: "timeline-key", "data-part": part }, word(`log.part_${part}`))));
    this.all = h("div", { class: "timeline-all", hidden: true }, h("div", { class: "timeline-head" }, legend, this.sort), this.longest, this.says, this.axis, this.rows);
    element.append(this.all, this.empty);
    this.#listen();
  }

  update(progress) {
    this.progress = progress;
    if (isHidden(this.element)) return;
    const end = lastHeard(progress);
    const rows = progress.nodes.map((node) => ({ node, parts: partsOf(node, progress, end) })).filter((row) => row.parts.length);
    if (this.sorted) rows.sort((one, other) => workOf(other) - workOf(one));
    setHidden(this.empty, rows.length > 0);
    setHidden(this.all, rows.length === 0);
    patchList(this.axis, ticksOf(end), { key: (tick) => tick, make: (tick) => h("span", {}, timeOf(tick, end)), update: (node, tick) => setPart(node, tick / end, "--at") });
    patchList(this.rows, rows, { key: (row) => row.node.name, make: (row) => this.#row(row), update: (line, row) => draw(line, row, end) });
    patchList(this.slowest, longest(progress, rows), { key: (each) => each.text, make: (each) => h("li", {}, h("span", {}, each.text), h("b", {}, span(each.seconds))), update: (line, each) => setText(line.lastChild, span(each.seconds)) });
    setHidden(this.longest, !this.slowest.childElementCount);
    if (!this.current?.isConnected) this.#stand(this.rows.querySelector("button"));
  }

  #row({ node }) {
    const open = () => this.element.dispatchEvent(new CustomEvent("timeline:pack", { detail: { pack: node.name } }));
    return h("li", { class: "timeline-line" }, h("button", { type: "button", class: "timeline-name", tabindex: "-1", title: node.name, onclick: open }, node.name), h("span", { class: "timeline-bar" }), h("span", { class: "timeline-sum" }));
  }

  #sort() {
    this.sorted = !this.sorted;
    setAttribute(this.sort, "aria-pressed", String(this.sorted));
    this.update(this.progress);
  }

  /** One stop for the Tab key; arrows go from row to row. */
  #stand(button) {
    if (this.current) this.current.tabIndex = -1;
    this.current = button;
    if (button) button.tabIndex = 0;
  }

  #listen() {
    const tell = (event) => {
      const line = event.target.closest(".timeline-line");
      if (line) setText(this.says, line.says);
    };
    this.rows.addEventListener("pointerover", tell);
    this.rows.addEventListener("focusin", (event) => {
      tell(event);
      this.#stand(event.target.closest("button"));
    });
    this.rows.addEventListener("keydown", (event) => {
      const all = [...this.rows.querySelectorAll("button")];
      const here = all.indexOf(event.target);
      const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
      if (here < 0 || to === undefined || !all[to]) return;
      event.preventDefault();
      all[to].focus();
    });
  }
}

/** How long something was done for a pack alone; its waits do not count. */
const workOf = ({ node, parts }) => node.seconds ?? totalOf(parts);

function draw(line, { node, parts }, end) {
  const [name, bar, sum] = line.children;
  const failed = parts.some((part) => part.part === "failed");
  setAttribute(line, "data-failed", failed ? "" : null);
  line.says = [node.name, ...parts.map((part) => word("log.part_at", { part: word(`log.part_${part.part}`), from: timeOf(part.from, end), to: timeOf(part.to, end), seconds: span(part.to - part.from) }))].join(" · ");
  setAttribute(name, "aria-label", line.says);
  setText(sum, span(workOf({ node, parts })));
  patchList(bar, parts, {
    key: (part) => part.key,
    make: (part) => h("i", { "data-part": part.part }),
    update: (piece, part) => {
      setPart(piece, end ? part.from / end : 0, "--from");
      setPart(piece, end ? part.to / end : 0, "--to");
    },
  });
}
