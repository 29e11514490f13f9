/** The tasks of a run that the page listens to, and the rows that they have together: each pack as the newest task that had
 *  it has left it. */

import { LiveProgress } from "../core/live.js";
import { now } from "../core/since.js";

export class Tasks {
  /** `news(taskId, changed)`: the names of the packs whose rows may differ. */
  constructor({ news, lost, back }) {
    Object.assign(this, { news, lost, back, lives: new Map(), ids: [], arrived: new WeakMap() });
  }

  /** Listens to these. `rows`: those whose packs are shown, oldest first; `carried`: what the page has brought of some. */
  follow(ids, rows, carried) {
    this.ids = rows;
    for (const [taskId, live] of this.lives) {
      if (ids.includes(taskId)) continue;
      live.stop();
      this.lives.delete(taskId);
    }
    for (const taskId of ids) if (!this.lives.has(taskId)) this.#listen(taskId, carried);
  }

  progress(taskId) {
    return this.lives.get(taskId)?.progress ?? null;
  }

  look() {
    for (const live of this.lives.values()) if (live.progress?.in_progress ?? true) live.now();
  }

  /** The rows of all together as one progress; null before the first answer of each. `counts`: the run's. */
  together(counts) {
    const all = this.ids.map((taskId) => this.progress(taskId));
    if (!all.length || all.includes(null)) return null;
    if (all.length === 1) return all[0];
    const rows = new Map();
    for (const progress of all) for (const node of progress.nodes) rows.set(node.name, node);
    const together = { ...all.at(-1), task_id: this.ids.join(" "), nodes: [...rows.values()], counts, in_progress: all.some((progress) => progress.in_progress) };
    this.arrived.set(together, this.arrivedAt(all.at(-1)));
    return together;
  }

  /** When a progress has come, as `secondsSince` wants it. */
  arrivedAt(progress) {
    return this.arrived.get(progress) ?? now();
  }

  /** Which task has a pack last. */
  of(name) {
    return this.ids.findLast((taskId) => this.progress(taskId)?.nodes.some((node) => node.name === name)) ?? this.ids.at(-1) ?? null;
  }

  #listen(taskId, carried) {
    const initial = carried.find((task) => task?.task_id === taskId)?.progress ?? null;
    const live = new LiveProgress(taskId, { initial, news: (progress, changed) => this.#heard(taskId, progress, changed), lost: this.lost, back: this.back });
    this.lives.set(taskId, live);
    live.start();
  }

  #heard(taskId, progress, changed) {
    this.arrived.set(progress, now());
    this.news(taskId, changed);
  }
}
