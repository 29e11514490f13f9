/** The stream of an install's progress, on top of the polls, which go on: where no stream is to be had nothing is missing
 *  but smoothness. One stream a browser (a lock that its tabs share), and only of a page that is seen: streams hold
 *  connections and the server's threads. */

import { stream } from "../core/stream.js";

const LATER = 60000;

export class Live {
  /** `take(progress)` gets each event. */
  constructor(taskId, take) {
    Object.assign(this, { taskId, take, busy: null, notBefore: 0 });
    this.hide = () => document.visibilityState === "hidden" && this.busy?.abort();
    document.addEventListener("visibilitychange", this.hide);
  }

  /** Begins a stream behind this revision where none runs and one may. */
  look(revision) {
    if (this.busy || performance.now() < this.notBefore || document.visibilityState === "hidden" || !navigator.locks) return;
    this.busy = new AbortController();
    const signal = this.busy.signal;
    navigator.locks
      .request("nodeferry-stream", { ifAvailable: true }, (lock) => lock && this.#read(revision, signal))
      .catch(() => { this.notBefore = performance.now() + LATER; })
      .finally(() => { this.busy = null; });
  }

  stop() {
    this.busy?.abort();
    document.removeEventListener("visibilitychange", this.hide);
  }

  #read(revision, signal) {
    return stream(`/tasks/${this.taskId}/events`, { lastId: revision, signal, event: (progress) => signal.aborted || this.take(progress) });
  }
}
