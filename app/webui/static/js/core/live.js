/** The progress of one install, live, for a page: first what the page carries, then a stream of patches; polls for patches
 *  while there is no stream. One stream a browser (a lock that its tabs share), and only of a page that is seen: streams
 *  hold connections and the server's threads. */

import { api } from "./api.js";
import { applyPatch, Misfit } from "./patch.js";
import { Poller } from "./poller.js";
import { stream } from "./stream.js";

const EVERY = 2000;
const STALE = 12000; // a stream says something every four seconds
const NO_STREAM = 60000;
const TAKEN = 5000;
const SHORT = 1000;

export class LiveProgress {
  /** `initial`: the progress that the page carries, or null.
   *  `news(progress, changed, order)`: after each answer, also one without news: the whole progress, the set of the names of
   *  the packs whose rows changed, and whether the list itself did. A row that is the same object has not changed.
   *  `lost(error, sinceSeconds)`: after each try that failed; `back()`: at the first answer after that.
   *  It stops by itself at the end of the task. */
  constructor(taskId, { initial = null, news, lost = () => {}, back = () => {} }) {
    Object.assign(this, { taskId, news, lost, back, progress: initial, line: undefined, answeredAt: Date.now(), isLost: false });
    Object.assign(this, { reading: null, notBefore: 0 });
    this.poller = new Poller((signal) => this.#look(signal), { interval: EVERY, failed: (error) => this.#failed(error) });
    this.hide = () => document.visibilityState === "hidden" && this.reading?.abort();
  }

  /** Seconds since the service has said anything. */
  get age() {
    return (Date.now() - this.answeredAt) / 1000;
  }

  /** Calls `news` at once where the page carries a progress. */
  start() {
    document.addEventListener("visibilitychange", this.hide);
    if (this.progress) this.news(this.progress, new Set(this.progress.nodes.map((row) => row.name)), true);
    if (!this.progress?.completed) this.poller.start();
    return this;
  }

  stop() {
    document.removeEventListener("visibilitychange", this.hide);
    this.poller.stop();
    this.reading?.abort();
  }

  /** Asks now: "Try now", and after an action. Also after the end of the task. */
  now() {
    this.reading?.abort();
    this.notBefore = Date.now() + SHORT;
    if (this.poller.stopped) this.poller.start();
    else this.poller.now();
  }

  /** A poll, unless a stream speaks or can begin. Answers whether to go on. */
  async #look(signal) {
    if (this.reading && this.age * 1000 < STALE) return true;
    if (this.reading) this.#giveUp(NO_STREAM);
    if (this.progress && !this.isLost && this.#read()) return true;
    await this.#poll(signal);
    if (this.progress.in_progress) this.#read();
    return this.progress.in_progress;
  }

  async #poll(signal) {
    const ask = (since) => api("/ssh/install-custom-nodes/progress", { body: { task_id: this.taskId, patch: true, line: this.line, since }, signal });
    const answer = await ask(this.progress?.revision);
    try {
      this.#take(answer);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      this.#take(await ask());
    }
  }

  /** What is done with any answer. Throws Misfit. */
  #take(answer) {
    const { progress, changed, order } = applyPatch(this.progress, answer);
    Object.assign(this, { progress, line: answer.line, answeredAt: Date.now() });
    if (this.isLost) {
      this.isLost = false;
      this.back();
    }
    this.news(progress, changed, order);
  }

  #failed(error) {
    this.isLost = true;
    this.lost(error, this.age);
  }

  #giveUp(milliseconds) {
    this.notBefore = Date.now() + milliseconds;
    this.reading?.abort();
  }

  /** Begins a stream where none runs and one may; whether it did. */
  #read() {
    if (this.reading || !this.progress.in_progress || Date.now() < this.notBefore) return false;
    if (document.visibilityState === "hidden" || !navigator.locks) return false;
    const reading = new AbortController();
    const began = Date.now();
    this.reading = reading;
    navigator.locks
      .request("nodeferry-stream", { ifAvailable: true }, (lock) => (lock ? this.#stream(reading.signal) : TAKEN))
      .then((wait) => wait ?? (Date.now() - began < SHORT ? NO_STREAM : 0), () => (Date.now() - began < SHORT ? NO_STREAM : SHORT))
      .then((wait) => this.#ended(reading, wait));
    return true;
  }

  /** A stream ended, which it does every minute; the next begins at once, or (where none is to be had) polls go on. */
  #ended(reading, wait) {
    if (this.reading === reading) this.reading = null;
    if (reading.signal.aborted) return;
    this.notBefore = Date.now() + wait;
    this.poller.now();
  }

  #stream(signal) {
    const query = new URLSearchParams({ patch: "true", since: this.progress.revision, ...(this.line && { line: this.line }) });
    return stream(`/tasks/${this.taskId}/events?${query}`, { signal, event: (answer) => signal.aborted || this.#heard(answer) });
  }

  #heard(answer) {
    try {
      this.#take(answer);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      this.now();
    }
    if (!this.progress.in_progress) this.stop();
  }
}
