/** For how long nothing was heard of each node pack, on the clock of the machine's run; null while its line is cut. */

import { now, secondsSince } from "../core/since.js";

export class Silence {
  constructor() {
    this.of = (name) => this.#of(name);
    Object.assign(this, { heardAt: new Map(), seconds: 0, at: now() });
  }

  /** From each answer. */
  heard(progress) {
    if (progress === this.progress) return;
    this.isCut = progress.state === "interrupted";
    const isNew = progress.run_seconds !== this.seconds;
    Object.assign(this, { progress, seconds: progress.run_seconds ?? null });
    if (isNew) this.at = now();
    if (this.seconds !== null && isNew) this.heardAt = new Map(progress.nodes.map((node) => [node.name, node.heard_at]));
  }

  #of(name) {
    if (this.isCut) return null;
    const heard = this.heardAt.get(name);
    if (this.seconds === null || heard === null || heard === undefined) return 0;
    return Math.max(0, this.seconds - heard + secondsSince(this.at));
  }
}
