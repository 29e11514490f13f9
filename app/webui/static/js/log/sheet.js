/** A column where the window is wide enough, else a sheet from below: a dialog of the browser's own, which keeps the focus,
 *  closes with Escape and gives the focus back. */

import { h } from "../core/dom.js";
import { word } from "../core/words.js";

const WIDE = "(min-width: 1200px)";
const FAR = 90; // pixels down that close it

export class Sheet {
  /** `close()` is asked for by Escape, a click beside it or a pull down. `moved()`: the content went elsewhere. */
  constructor(place, content, { close, moved }) {
    Object.assign(this, { place, content, moved, open: false, wide: matchMedia(WIDE) });
    this.handle = h("div", { class: "log-handle", "aria-hidden": "true" });
    this.dialog = h("dialog", { class: "log-sheet" }, this.handle);
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close();
    });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && close());
    this.wide.addEventListener("change", () => this.open && this.#lay());
    this.#pull(close);
  }

  show(label) {
    this.dialog.setAttribute("aria-label", word("log.of", { name: label }));
    this.place.setAttribute("aria-label", word("log.of", { name: label }));
    if (this.open) return;
    this.open = true;
    this.#lay();
  }

  hide() {
    this.open = false;
    if (this.dialog.open) this.dialog.close();
    this.dialog.remove();
    this.content.remove();
    this.place.hidden = true;
  }

  #lay() {
    this.place.hidden = !this.wide.matches;
    if (this.wide.matches) {
      if (this.dialog.open) this.dialog.close();
      this.dialog.remove();
      this.place.append(this.content);
    } else {
      this.dialog.append(this.content);
      if (!this.dialog.isConnected) document.body.append(this.dialog);
      if (!this.dialog.open) this.dialog.showModal();
      this.content.querySelector(".log-scroll").focus();
    }
    this.moved();
  }

  #pull(close) {
    let from = null;
    const move = (by) => {
      this.dialog.style.transform = by > 0 ? `translateY(${by}px)` : "";
    };
    this.handle.addEventListener("pointerdown", (event) => {
      from = event.clientY;
      this.handle.setPointerCapture(event.pointerId);
    });
    this.handle.addEventListener("pointermove", (event) => from !== null && move(event.clientY - from));
    const done = (event) => {
      const far = from !== null && event.clientY - from > FAR;
      from = null;
      move(0);
      if (far) close();
    };
    this.handle.addEventListener("pointerup", done);
    this.handle.addEventListener("pointercancel", () => {
      from = null;
      move(0);
    });
  }
}
