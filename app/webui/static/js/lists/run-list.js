/** The runs that are shown: the newest page, asked for again and again, and the older ones that were wanted.
 *
 *  While somebody points at a row, or has scrolled, no row moves: runs that are new wait until they are asked for. */

import { api } from "../core/api.js";
import { askedFor } from "./filters.js";

const PAGE = 50;
const MOST_FOLLOWED = 10;

export class RunList {
  /** `changed()` is called after each change; `held()` says whether rows must stay where they are. */
  constructor({ changed, held }) {
    Object.assign(this, { changed, held, rows: new Map(), waiting: new Map(), generation: 0 });
    this.show({ state: "", instance: "", q: "" });
  }

  /** Other filters: what is there goes. */
  show(filters) {
    Object.assign(this, { filters, cursor: null, older: false, answered: false, last: null });
    this.generation += 1;
    this.rows.clear();
    this.waiting.clear();
  }

  get newestFirst() {
    return [...this.rows.values()].toSorted((one, other) => other.created_at.localeCompare(one.created_at));
  }

  async newest(signal) {
    const found = await this.#ask({}, { signal, tagged: true });
    if (!found) return;
    if (found !== this.last) {
      this.last = found;
      if (!this.older) this.cursor = found.next_cursor;
      this.#dropGone(found);
      this.#take(found.runs, this.answered && this.held());
    }
    await this.#followOlder(found.runs, signal);
  }

  /** Runs below the newest page that still go on: each is asked for by itself. */
  async #followOlder(newest, signal) {
    const here = new Set(newest.map((run) => run.run_id));
    const going = [...this.rows.values()].filter((run) => run.in_progress && !here.has(run.run_id)).slice(0, MOST_FOLLOWED);
    const mine = this.generation;
    const found = await Promise.all(going.map((run) => api(`/runs/${run.run_id}`, { signal, tagged: true }).catch(() => run)));
    if (mine === this.generation && found.some((run, index) => run !== going[index])) this.#take(found, false);
  }

  async showOlder() {
    const found = await this.#ask({ cursor: this.cursor }, {});
    if (!found) return;
    this.older = true;
    this.cursor = found.next_cursor;
    this.#take(found.runs, false);
  }

  /** Lets in what has waited. */
  letIn() {
    if (!this.waiting.size) return;
    for (const [id, run] of this.waiting) this.rows.set(id, run);
    this.waiting.clear();
    this.changed();
  }

  /** Null when other filters were chosen meanwhile. */
  async #ask(more, options) {
    const mine = this.generation;
    const found = await api(`/runs?${askedFor(this.filters, { limit: PAGE, ...more })}`, options);
    return mine === this.generation ? found : null;
  }

  /** Runs that were forgotten, or that the filters do not fit any more. */
  #dropGone({ runs, next_cursor: next }) {
    if (this.held()) return;
    const oldest = next ? runs.at(-1).created_at : "";
    const here = new Set(runs.map((run) => run.run_id));
    for (const [id, run] of this.rows) if (run.created_at >= oldest && !here.has(id)) this.rows.delete(id);
  }

  #take(runs, wait) {
    for (const run of runs) {
      const to = wait && !this.rows.has(run.run_id) ? this.waiting : this.rows;
      to.set(run.run_id, run);
    }
    this.answered = true;
    this.changed();
  }
}
