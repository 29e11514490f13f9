/** One machine of a fleet: its name, how its install stands, how many packs stand where. */

import { h, setAttribute, setHidden, setText } from "../core/dom.js";
import { percent } from "../core/format.js";
import { at } from "../core/place.js";
import { countsInWords, segments, update as updateSegments } from "../core/segments.js";
import { word } from "../core/words.js";
import { showState, stateIcon } from "../lists/state.js";

const GOES_ON = ["queued", "running", "interrupted", "cancelling"];
const parts = new WeakMap();

export const goesOn = ({ state }) => GOES_ON.includes(state);

export function makeMachine(machine) {
  const part = {
    icon: stateIcon(),
    link: h("a", { class: "run-said cut", title: machine.ssh_connection }, machine.ssh_connection),
    said: h("span", { class: "fleet-sentence cut" }),
    bar: segments(machine.counts),
    counts: h("span", { class: "run-counts cut" }),
    percent: h("span", { class: "fleet-percent num soft" }),
    hint: h("p", { class: "fleet-hint", hidden: true }),
  };
  const row = h("li", { class: "fleet-row" }, part.icon, part.link, part.said, h("span", { class: "run-packs" }, part.bar, part.counts), part.percent, part.hint);
  parts.set(row, part);
  return row;
}

export function updateMachine(row, machine) {
  const part = parts.get(row);
  const { summary, counts, error } = machine;
  showState(part.icon, summary);
  setAttribute(row, "data-kind", summary.kind);
  setAttribute(part.link, "href", at(`/ui/run/${machine.task_id}`));
  setText(part.said, summary.sentence);
  setAttribute(part.said, "title", summary.sentence);
  updateSegments(part.bar, counts);
  setText(part.counts, counts.total ? word("lists.n_ready", counts) : "");
  setAttribute(part.counts, "title", countsInWords(counts));
  setText(part.percent, goesOn(machine) ? percent(machine.percent) : "");
  setText(part.hint, error ? error.hint : "");
  setHidden(part.hint, !error?.hint);
}
