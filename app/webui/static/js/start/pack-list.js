/** The node packs of a list, each with a tick: search, all, none, count. One stop of the Tab key, arrows inside. */

import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { word } from "../core/words.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

export class PackList {
  /** `changed()` is called when a tick has changed. */
  constructor(changed) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { changed, box: get("list"), rows: get("list-rows"), search: get("list-search"), said: get("list-count"), nothing: get("list-nothing"), nodes: [], left: new Set() });
    this.search.addEventListener("input", () => this.#draw());
    this.search.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    get("all").addEventListener("click", () => this.#tickAll(true));
    get("none").addEventListener("click", () => this.#tickAll(false));
    this.rows.addEventListener("change", (event) => this.#tick(event.target.closest("[data-key]").dataset.key, event.target.checked));
    this.rows.addEventListener("keydown", (event) => this.#move(event));
    this.rows.addEventListener("focusin", (event) => this.#stopAt(event.target));
  }

  /** Shows these packs; `left`: names without a tick, which this keeps up to date. */
  show(nodes, left) {
    Object.assign(this, { nodes: nodes ?? [], left });
    setHidden(this.box, !this.nodes.length);
    this.#draw();
  }

  #shown() {
    const words = this.search.value.trim().toLowerCase();
    return this.nodes.filter((node) => `${node.name} ${node.repo_url} ${node.registry_id ?? ""}`.toLowerCase().includes(words));
  }

  #tick(name, ticked) {
    if (ticked) this.left.delete(name);
    else this.left.add(name);
    this.#count();
    this.changed();
  }

  #tickAll(ticked) {
    for (const { name } of this.#shown()) ticked ? this.left.delete(name) : this.left.add(name);
    this.#draw();
    this.changed();
  }

  #draw() {
    const shown = this.#shown();
    patchList(this.rows, shown, { key: (node) => node.name, make: row, update: (made, node) => {
      made.querySelector("input").checked = !this.left.has(node.name);
      setAttribute(made, "title", node.repo_url || node.registry_id);
      setText(made.querySelector(".pack-of"), ownerOf(node));
    } });
    const boxes = [...this.rows.querySelectorAll("input")];
    if (!boxes.some((box) => box.tabIndex === 0)) boxes[0] && (boxes[0].tabIndex = 0);
    setHidden(this.nothing, Boolean(shown.length));
    this.#count();
  }

  #count() {
    setText(this.said, word("start.chosen", { n: this.nodes.filter((node) => !this.left.has(node.name)).length, total: this.nodes.length }));
  }

  #stopAt(box) {
    for (const other of this.rows.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    box.tabIndex = 0;
  }

  #move(event) {
    const boxes = [...this.rows.querySelectorAll("input")];
    const here = boxes.indexOf(event.target);
    const to = { Home: 0, End: boxes.length - 1 }[event.key] ?? (event.key in STEPS ? here + STEPS[event.key] : -1);
    if (event.key === "Enter") event.preventDefault();
    if (!boxes[to]) return;
    event.preventDefault();
    boxes[to].focus();
  }
}

function row(node) {
  const box = h("input", { type: "checkbox", tabindex: "-1", "aria-label": word("start.install_pack", { name: node.name }) });
  return h("label", { class: "pack-choice" }, box, h("span", { class: "pack-name cut" }, node.name), h("span", { class: "pack-of soft small cut" }));
}

/** Whose repository it is, and at which version where the list says one; a pack of the registry has its own versions. */
function ownerOf({ repo_url: url, ref, registry_id: id, version, disabled }) {
  const off = disabled ? word("start.stays_disabled") : "";
  if (id) return [version, word("start.of_registry"), off].filter(Boolean).join(" · ");
  const owner = /^(?:https?|ssh):\/\/[^/]+\/([^/]+)\//.exec(url)?.[1] ?? "";
  const at = (ref ?? "").replace(/^tree:/, "");
  return [owner, /^[0-9a-f]{40}$/.test(at) ? at.slice(0, 7) : at.slice(0, 24), off].filter(Boolean).join(" · ");
}
