/** The rows of node packs, in the list's own order, which never changes. A row is made once and changed in place, and only
 *  when something of its pack has changed. A click or Enter opens its log; arrows go from row to row. */

import { h, setAttribute, setHidden, setPart, setText } from "../core/dom.js";
import { icon, iconOf, setIcon, toneOf } from "../core/icons.js";
import { word } from "../core/words.js";
import { importOf, partsOf, sentenceOf, sizeOf, stateOf, timeOf } from "./row_words.js";
import { segmentOf, standingOf } from "./standings.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };

export class Rows {
  /** `chosen(name)` is called with the pack whose log is wanted. */
  constructor(list, empty, chosen) {
    Object.assign(this, { list, empty, chosen, isSaid: false, rows: new Map(), taskId: null, segment: null, search: "", active: null });
    list.addEventListener("click", (event) => this.#pressed(event.target.closest(".pack")));
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `changed`: the names whose rows may differ; null for all. `silence(name)`: seconds since it was heard of. */
  update(progress, changed, silence) {
    if (progress.task_id !== this.taskId) this.#clear(progress.task_id);
    this.progress = progress;
    const builds = buildsByPack(progress);
    for (const node of progress.nodes) {
      const row = this.rows.get(node.name) ?? this.#add(node);
      if (changed && !changed.has(node.name) && row.node) row.node = node;
      else this.#patch(row, node, builds, silence);
    }
    if (this.rows.size > progress.nodes.length) this.#drop(new Set(progress.nodes.map((node) => node.name)));
    this.#none();
  }

  /** Whether one of these packs stands elsewhere than its row says: what people wait for, unlike figures. */
  differ(progress, names) {
    return progress.nodes.some((node) => names.has(node.name) && phaseOf(node) !== phaseOf(this.rows.get(node.name)?.node));
  }

  /** Says why there are no rows, unless that is said elsewhere already. */
  none(isSaid) {
    this.isSaid = isSaid;
    this.#none();
  }

  /** Once a second: what a pack that works says grows old. */
  tick(silence) {
    if (!this.progress) return;
    const builds = buildsByPack(this.progress);
    for (const row of this.rows.values()) if (row.standing === "working") this.#say(row, builds, silence);
  }

  filter(segment, search) {
    Object.assign(this, { segment, search: search.trim().toLowerCase() });
    for (const row of this.rows.values()) this.#fit(row);
    this.#none();
  }

  /** Marks the pack whose log is open. */
  mark(name) {
    if (name === this.marked) return;
    for (const each of [this.marked, name]) {
      const row = this.rows.get(each);
      if (row) setAttribute(row.button, "aria-current", each === name ? "true" : null);
    }
    this.marked = name;
    if (this.rows.has(name)) this.#activate(this.rows.get(name));
  }

  /** Answers whether there is a row to focus. */
  focus(name = null) {
    const row = this.rows.get(name ?? this.active) ?? this.#fitting()[0];
    row?.button.focus();
    return Boolean(row);
  }

  /** The pack `step` rows from `name` on, among those that fit. */
  next(name, step) {
    const fitting = this.#fitting();
    const index = fitting.findIndex((row) => row.name === name);
    return fitting[Math.max(0, Math.min(fitting.length - 1, index + step))]?.name ?? null;
  }

  has(name) {
    return this.rows.has(name);
  }

  #clear(taskId) {
    this.list.replaceChildren();
    this.rows.clear();
    Object.assign(this, { taskId, active: null });
  }

  #drop(known) {
    for (const [name, row] of this.rows) {
      if (known.has(name)) continue;
      row.item.remove();
      this.rows.delete(name);
    }
  }

  #add(node) {
    const row = make(node);
    this.rows.set(node.name, row);
    if (!this.active) this.#activate(row);
    if (node.name === this.marked) setAttribute(row.button, "aria-current", "true");
    this.list.append(row.item);
    return row;
  }

  #patch(row, node, builds, silence) {
    const standing = standingOf(node);
    row.node = node;
    if (row.standing !== standing) {
      row.standing = standing;
      row.segment = segmentOf(node);
      setAttribute(row.item, "data-standing", standing);
      setAttribute(row.item, "data-tone", toneOf(standing));
      setIcon(row.icon, iconOf(standing));
    }
    setText(row.word, stateOf(node));
    setText(row.version, node.version ? ` ${node.version}` : "");
    partsOf(node).forEach(([state, part], index) => {
      setAttribute(row.parts[index], "data-state", state);
      setPart(row.parts[index], part);
    });
    this.#say(row, builds, silence);
    setText(row.size, sizeOf(node));
    setText(row.load, importOf(node));
    setText(row.time, timeOf(node));
    this.#fit(row);
  }

  #say(row, builds, silence) {
    const said = sentenceOf(row.node, { silence: silence(row.node.name), build: builds.get(row.node.name) });
    if (said === row.said) return;
    row.said = said;
    setText(row.what, said);
    setAttribute(row.what, "title", said || null);
  }

  #fit(row) {
    const { node } = row;
    const words = () => `${node.name} ${node.version ?? ""} ${node.repo_url} ${node.error?.message ?? ""}`.toLowerCase();
    const fits = (!this.segment || row.segment === this.segment) && (!this.search || words().includes(this.search));
    setHidden(row.item, !fits);
  }

  #fitting() {
    return [...this.rows.values()].filter((row) => !row.item.hidden);
  }

  #none() {
    const some = this.#fitting().length > 0;
    setHidden(this.empty, some || this.isSaid);
    if (!some) setText(this.empty, word(this.rows.size ? "run.none_fits" : this.progress?.in_progress ? "run.no_list_yet" : "run.no_list"));
  }

  #activate(row) {
    if (this.active && this.rows.has(this.active)) this.rows.get(this.active).button.tabIndex = -1;
    this.active = row.name;
    row.button.tabIndex = 0;
  }

  #pressed(button) {
    if (!button) return;
    this.#activate(this.rows.get(button.dataset.pack));
    this.chosen(button.dataset.pack);
  }

  #key(event) {
    const { key } = event;
    if (!(key in STEPS) && key !== "Home" && key !== "End") return;
    const fitting = this.#fitting();
    const index = fitting.findIndex((row) => row.button === document.activeElement);
    if (index < 0) return;
    event.preventDefault();
    const to = key === "Home" ? 0 : key === "End" ? fitting.length - 1 : Math.max(0, Math.min(fitting.length - 1, index + STEPS[key]));
    this.#activate(fitting[to]);
    fitting[to].button.focus();
  }
}

const phaseOf = (node) => node && `${standingOf(node)} ${node.state} ${node.verified} ${node.script_status} ${node.error?.code}`;

function make(node) {
  const cell = (name) => h("span", { class: `pack-${name}` });
  const parts = Array.from({ length: 3 }, () => h("i"));
  const [state, what, size, load, time] = ["word", "what", "size", "load", "time"].map(cell);
  const version = h("span", { class: "pack-version" });
  const name = h("span", { class: "pack-name", title: node.repo_url || node.registry_id }, node.name, version);
  const track = h("span", { class: "pack-track", "aria-hidden": "true" }, parts);
  const mark = icon("waiting");
  const button = h("button", { type: "button", class: "pack", tabindex: "-1", "data-pack": node.name }, mark, state, name, track, what, size, load, time);
  const item = h("li", { "data-key": node.name }, button);
  return { name: node.name, item, button, icon: mark, word: state, version, what, size, load, time, parts, node: null, standing: null, segment: null, said: null };
}

function buildsByPack(progress) {
  const found = new Map();
  for (const build of progress.builds ?? []) {
    if (build.state !== "running") continue;
    for (const name of build.packs) if (!found.has(name)) found.set(name, build);
  }
  return found;
}
