/** When the page is drawn: at once for what people wait for, yet with a pause between two times; and each second, for the
 *  figures that only grow. Each time is a frame, and frames are most of what a page costs while a run goes on. */

const SECOND = 1000;
const BETWEEN = 350;

export class Pace {
  /** `draw()`: puts on the screen what is known. */
  constructor(draw) {
    Object.assign(this, { draw, last: -Infinity, due: Infinity, timer: null });
  }

  /** There is news: now, or as soon as the pause is over. */
  soon() {
    const wait = this.last + BETWEEN - performance.now();
    if (wait <= 0) this.#now();
    else this.#in(wait);
  }

  /** From now on each second. */
  start() {
    this.#in(SECOND);
  }

  #in(wait) {
    const due = performance.now() + wait;
    if (due >= this.due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.#now(), wait);
  }

  #now() {
    clearTimeout(this.timer);
    Object.assign(this, { due: Infinity, last: performance.now() });
    this.#in(SECOND);
    this.draw();
  }
}
