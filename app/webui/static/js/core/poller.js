/** Asking again and again: every `interval` milliseconds while the tab is seen, slower while it is hidden, at once when it is
 *  seen again, when the computer woke up, or when the network is back. While nothing answers it goes on, with growing waits. */

import { } from "./wake.js";

const HIDDEN_FACTOR = 8;
const MOST_WAIT = 15000;

export class Poller {
  /** `ask(signal)` answers whether to go on; what it throws goes to `failed(error)`. */
  constructor(ask, { interval = 2000, failed = () => {}, answered = () => {} } = {}) {
    Object.assign(this, { ask, interval, failed, answered, failures: 0, timer: null, busy: null, again: false, stopped: true });
    this.wake = () => this.now();
    this.woke = () => this.#anew();
    this.shownAgain = (event) => event.persisted && this.now();
    this.seen = () => document.visibilityState === "visible" && this.now();
  }

  /** `known`: what would be asked for is there already; the first time is after the interval. */
  start({ known = false } = {}) {
    this.stopped = false;
    document.addEventListener("visibilitychange", this.seen);
    addEventListener("online", this.wake);
    addEventListener("pageshow", this.shownAgain);
    addEventListener("nodeferry:try", this.wake);
    addEventListener("nodeferry:woke", this.woke);
    if (known) this.timer = setTimeout(() => this.now(), this.#wait());
    else this.now();
    return this;
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.busy?.abort();
    document.removeEventListener("visibilitychange", this.seen);
    removeEventListener("online", this.wake);
    removeEventListener("pageshow", this.shownAgain);
    removeEventListener("nodeferry:try", this.wake);
    removeEventListener("nodeferry:woke", this.woke);
  }

  /** Asks now; if it is being asked, once more after the answer. */
  now() {
    if (this.stopped) return;
    if (this.busy) {
      this.again = true;
      return;
    }
    clearTimeout(this.timer);
    this.#round();
  }

  /** What was asked before the computer slept is never answered. */
  #anew() {
    this.busy?.abort();
    this.now();
  }

  async #round() {
    const { signal } = (this.busy = new AbortController());
    let goOn = true;
    try {
      goOn = (await this.ask(signal)) !== false;
      this.failures = 0;
      this.answered();
    } catch (error) {
      if (this.stopped) return;
      if (!signal.aborted) {
        this.failures += 1;
        this.failed(error);
      }
    } finally {
      this.busy = null;
    }
    if (!goOn) return this.stop();
    if (!this.stopped) this.timer = setTimeout(() => this.now(), this.#wait());
  }

  #wait() {
    if (this.again) {
      this.again = false;
      return 0;
    }
    const grown = this.interval * Math.min(2 ** this.failures, 8);
    const hidden = document.visibilityState === "hidden" ? HIDDEN_FACTOR : 1;
    return Math.min(grown, Math.max(MOST_WAIT, this.interval)) * hidden;
  }
}
