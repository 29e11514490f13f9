/** The bar of the run: its legend and its filter in one. The coloured parts move by transforms alone, and the buttons keep
 *  their places, so that nothing slips away under the pointer. */

import { h, setAttribute, setPart, setText } from "../core/dom.js";
import { icon, iconOf, toneOf } from "../core/icons.js";
import { word } from "../core/words.js";
import { SEGMENTS, countIn, labelOf } from "./standings.js";

export class Bar {
  /** `filter(segment)` is called with what is to be shown alone; null for all. */
  constructor(place, filter) {
    Object.assign(this, { place, filter, segment: null });
    this.colours = new Map(SEGMENTS.map(([name]) => [name, h("i", { "data-segment": name })]));
    this.buttons = new Map(SEGMENTS.map(([name]) => [name, this.#button(name)]));
    const strip = h("div", { class: "seg-strip", "aria-hidden": "true" }, [...this.colours.values()]);
    place.replaceChildren(strip, h("div", { class: "seg-keys" }, [...this.buttons.values()].map(({ button }) => button)));
  }

  /** `counts`: the service's; nothing is counted here. `more`: whether there may still be some, so that its place is kept. */
  update(counts, more) {
    const total = counts?.total ?? 0;
    setAttribute(this.place, "data-none", total ? null : more ? "yet" : "");
    let from = 0;
    for (const [name, parts] of SEGMENTS) {
      const number = countIn(counts, parts);
      const { button, figure } = this.buttons.get(name);
      setText(figure, String(number));
      setAttribute(button, "data-empty", number ? null : "");
      const colour = this.colours.get(name);
      setPart(colour, total ? from / total : 0, "--from");
      setPart(colour, total ? number / total : 0);
      from += number;
    }
  }

  choose(segment) {
    this.segment = segment;
    for (const [name, { button }] of this.buttons) setAttribute(button, "aria-pressed", String(name === segment));
  }

  #button(name) {
    const figure = h("b");
    const onclick = () => {
      this.choose(this.segment === name ? null : name);
      this.filter(this.segment);
    };
    const button = h("button", { type: "button", "data-segment": name, "data-tone": toneOf(name), "aria-pressed": "false", title: word("run.only_these", { what: labelOf(name) }), onclick }, icon(name === "left" ? "skipped" : iconOf(name)), figure, h("span", {}, labelOf(name)));
    return { button, figure };
  }
}
