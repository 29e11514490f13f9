/** Two runs to compare: chosen by their boxes or from a menu, kept while the list changes. */

import { h, setHidden, setText } from "../core/dom.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";

export class Picked {
  /** `tray` is where the choice stands; `changed()` is called after each change. */
  constructor(tray, changed) {
    Object.assign(this, { tray, changed, runs: new Map() });
    this.said = h("span", { role: "status" });
    this.go = h("button", { type: "button", class: "btn primary small", onclick: () => this.compare() }, word("lists.compare"));
    tray.append(this.said, this.go, h("button", { type: "button", class: "btn small", onclick: () => this.clear() }, word("lists.clear")));
  }

  get full() {
    return this.runs.size >= 2;
  }

  has = (run) => this.runs.has(run.run_id);

  /** Whether a run other than this one is chosen. */
  others = (run) => [...this.runs.keys()].some((id) => id !== run.run_id);

  set(run, on) {
    if (on) this.runs.set(run.run_id, run);
    else this.runs.delete(run.run_id);
    this.#draw();
  }

  clear() {
    this.runs.clear();
    this.#draw();
  }

  /** The newest state of what is chosen. */
  refresh(rows) {
    for (const id of this.runs.keys()) if (rows.has(id)) this.runs.set(id, rows.get(id));
  }

  /** From a menu: with the run that is chosen, at once; else it waits for another. */
  compareWith(run) {
    const other = [...this.runs.values()].find(({ run_id: id }) => id !== run.run_id);
    this.set(run, true);
    if (other) open(run, other);
  }

  compare() {
    open(...this.runs.values());
  }

  #draw() {
    setHidden(this.tray, !this.runs.size);
    setText(this.said, word(this.full ? "lists.picked_two" : "lists.picked_one"));
    setHidden(this.go, !this.full);
    this.changed();
  }
}

function open(one, other) {
  const [earlier, later] = [one, other].toSorted((a, b) => a.created_at.localeCompare(b.created_at));
  location.assign(at(`/ui/compare?a=${earlier.run_id}&b=${later.run_id}`));
}
