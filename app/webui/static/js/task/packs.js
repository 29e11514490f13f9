/** The rows of node packs: made once, patched from each answer. They keep the order of the list, so that nothing moves away under
 *  the eye or the pointer; on a run that was over when the page came, failed ones stand open. */

import { h, patchList, setAttribute, setHidden, setPart, setText } from "../core/dom.js";
import { GROUPS, groupOf, importOf, needsOf, partsOf, sentenceOf, sizeOf, unsure } from "./words.js";

export class Packs {
  /** `tail(name)` answers the last lines of a pack's log. */
  constructor({ list, chips, search, none }, tail) {
    Object.assign(this, { list, chips, search, none, tail, shown: "all", opened: new Map(), nodes: [], running: true, watched: false });
    search.addEventListener("input", () => this.#draw());
    const all = [["all", "All"], ...GROUPS];
    chips.append(...all.map(([name, label]) => this.#chip(name, label)));
  }

  update(nodes, running) {
    Object.assign(this, { nodes, running });
    this.watched ||= running;
    this.#draw();
  }

  #chip(name, label) {
    const onclick = () => {
      this.shown = name;
      this.#draw();
    };
    return h("button", { type: "button", "data-group": name, "data-label": label, onclick }, label);
  }

  #draw() {
    for (const chip of this.chips.children) this.#patchChip(chip);
    const words = this.search.value.trim().toLowerCase();
    const fits = (node) =>
      (this.shown === "all" || groupOf(node) === this.shown) &&
      (!words || `${node.name} ${node.repo_url} ${node.error?.message ?? ""}`.toLowerCase().includes(words));
    const wanted = this.nodes.filter(fits);
    setHidden(this.none, wanted.length > 0);
    setText(this.none, this.nodes.length ? "No node pack fits." : "The list of node packs is not known yet.");
    patchList(this.list, wanted, { key: (node) => node.name, make: (node) => this.#make(node), update: (row, node) => this.#patch(row, node) });
  }

  #patchChip(chip) {
    const group = chip.dataset.group;
    const number = group === "all" ? this.nodes.length : this.nodes.filter((node) => groupOf(node) === group).length;
    setText(chip, `${chip.dataset.label} ${number}`);
    setAttribute(chip, "aria-pressed", String(this.shown === group));
  }

  #make(node) {
    const parts = ["clone", "install", "verify"].map((part) => h("i", { "data-part": part }));
    const open = h("button", { type: "button", class: "pack-open", "aria-label": `Details of ${node.name}` }, arrow());
    const row = h("li", { class: "pack" },
      h("div", { class: "pack-line" },
        h("span", { class: "mark", role: "img" }),
        h("div", { class: "grow pack-title" }, h("div", { class: "pack-name", title: node.name }, node.name), h("div", { class: "pack-what" })),
        h("div", { class: "track", "aria-hidden": "true" }, parts),
        h("span", { class: "pack-number pack-size" }), h("span", { class: "pack-number pack-rest" }),
        h("span", { class: "pack-number pack-import" }), open));
    open.addEventListener("click", () => {
      this.opened.set(node.name, open.getAttribute("aria-expanded") !== "true");
      this.#draw();
    });
    return row;
  }

  #patch(row, node) {
    const group = groupOf(node);
    const find = (selector) => row.querySelector(selector);
    setAttribute(row, "data-group", group);
    const mark = find(".mark");
    setAttribute(mark, "data-group", group);
    setAttribute(mark, "data-unsure", unsure(node) && (!this.running || node.error) ? "true" : null);
    setAttribute(mark, "aria-label", node.state);
    const sentence = sentenceOf(node, this.running);
    setText(find(".pack-what"), sentence);
    setAttribute(find(".pack-what"), "title", sentence);
    for (const [part, [status, done]] of Object.entries(partsOf(node))) {
      const bar = find(`i[data-part="${part}"]`);
      setAttribute(bar, "data-status", status);
      setPart(bar, done);
    }
    setText(find(".pack-size"), sizeOf(node));
    setText(find(".pack-rest"), needsOf(node));
    setText(find(".pack-import"), importOf(node));
    this.#patchMore(row, node, group);
  }

  #patchMore(row, node, group) {
    const open = this.opened.get(node.name) ?? (!this.watched && (group === "failed" || (group === "done" && Boolean(node.error))));
    setAttribute(row.querySelector(".pack-open"), "aria-expanded", String(open));
    let more = row.querySelector(".pack-more");
    if (!open) {
      more?.remove();
      return;
    }
    const state = JSON.stringify([node.state, node.error, node.commit, this.running]);
    if (more?.dataset.state === state) return;
    more?.remove();
    more = this.#more(node);
    more.dataset.state = state;
    row.append(more);
  }

  #more(node) {
    const link = /^https?:\/\//.test(node.repo_url) ? h("a", { href: node.repo_url, target: "_blank", rel: "noopener noreferrer" }, node.repo_url) : node.repo_url;
    const log = h("pre", { class: "log short", tabindex: "0", "aria-label": `Log of ${node.name}`, hidden: true });
    this.tail(node.name).then((text) => {
      setText(log, text);
      setHidden(log, !text);
    });
    const problem = node.error && h("div", { class: "note", "data-tone": node.state === "failed" ? "bad" : "warn" },
      h("strong", {}, node.error.message), node.error.hint, node.state === "failed" && !node.error.retryable ? " A retry as it is does not help. " : " ",
      h("code", { class: "soft", title: node.error.title }, node.error.code));
    const facts = h("p", { class: "small soft wrap-anywhere" }, link, node.commit ? ` · ${node.commit.slice(0, 10)}` : "", node.seconds ? ` · ${node.seconds} s` : "");
    return h("div", { class: "pack-more" }, problem, facts, log);
  }
}

function arrow() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "m6 3 5 5-5 5");
  svg.append(path);
  return svg;
}
