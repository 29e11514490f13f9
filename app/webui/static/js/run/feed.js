/** The progress of one task: polled, and streamed on top where there is a place for it. */

import { api } from "../core/api.js";
import { Poller } from "../core/poller.js";
import { Live } from "./live.js";

export class LiveProgress {
  constructor(taskId, { initial = null, news, lost = () => {}, back = () => {} }) {
    Object.assign(this, { taskId, news, lost, back, progress: initial, isLost: false });
    this.poller = new Poller((signal) => this.#ask(signal), { failed: (error) => { this.isLost = true; this.lost(error, 0); }, answered: () => { if (this.isLost) this.back(); this.isLost = false; } });
    this.live = new Live(taskId, (progress) => this.#take(progress));
  }

  start() {
    if (this.progress) this.news(this.progress, new Set(this.progress.nodes.map((row) => row.name)), true);
    this.poller.start();
    return this;
  }

  stop() {
    this.poller.stop();
    this.live.stop();
  }

  now() {
    if (this.poller.stopped) this.poller.start();
    else this.poller.now();
  }

  async #ask(signal) {
    const body = { task_id: this.taskId };
    if (this.progress) body.since = this.progress.revision;
    const answer = await api("/ssh/install-custom-nodes/progress", { body, signal });
    if (answer.unchanged) {
      this.progress = { ...this.progress, last_event_seconds_ago: answer.last_event_seconds_ago };
      this.news(this.progress, new Set(), false);
    } else this.#take(answer);
    if (this.progress.in_progress) this.live.look(this.progress.revision);
    return this.progress.in_progress;
  }

  #take(progress) {
    const before = this.progress;
    if (before && progress.revision < before.revision) return;
    this.progress = progress;
    this.news(progress, changedIn(before?.nodes ?? [], progress.nodes), true);
    if (!progress.in_progress) this.live.stop();
  }
}

function changedIn(before, after) {
  const known = new Map(before.map((node) => [node.name, JSON.stringify(node)]));
  return new Set(after.filter((node) => known.get(node.name) !== JSON.stringify(node)).map((node) => node.name));
}
