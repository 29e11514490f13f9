/** One machine of a fleet: its name, how its run stands, how many packs stand where. The row opens the run. */

import { h, setAttribute, setText } from "../core/dom.js";
import { percent } from "../core/format.js";
import { countsInWords, segments, update as updateSegments } from "../core/segments.js";
import { word } from "../core/words.js";
import { addressOf } from "../lists/run-row.js";
import { showState, stateIcon } from "../lists/state.js";

const parts = new WeakMap();

export function makeMachine(run) {
  const part = {
    icon: stateIcon(),
    link: h("a", { class: "run-said cut", href: addressOf(run) }),
    said: h("span", { class: "fleet-sentence cut" }),
    bar: segments(run.counts),
    counts: h("span", { class: "run-counts cut" }),
    percent: h("span", { class: "fleet-percent num soft" }),
  };
  const row = h("li", { class: "fleet-row" }, part.icon, part.link, part.said, h("span", { class: "run-packs" }, part.bar, part.counts), part.percent);
  parts.set(row, part);
  return row;
}

export function updateMachine(row, run) {
  const part = parts.get(row);
  setAttribute(row, "data-kind", run.summary.kind);
  showState(part.icon, run.summary);
  setText(part.link, run.machine.name);
  setAttribute(part.link, "title", run.machine.ssh_connection);
  setText(part.said, run.summary.sentence);
  setAttribute(part.said, "title", run.summary.sentence);
  updateSegments(part.bar, run.counts);
  setText(part.counts, run.counts.total ? word("lists.n_ready", run.counts) : "");
  setAttribute(part.counts, "title", countsInWords(run.counts));
  setText(part.percent, run.in_progress ? percent(run.percent) : "");
}
