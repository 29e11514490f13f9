/** One run in the list: its state, what was installed, how many packs stand where, on what machine, when, how long. */

import { h, setAttribute, setText } from "../core/dom.js";
import { ago, clock, exactly, when } from "../core/format.js";
import { icon } from "../core/icons.js";
import { at } from "../core/place.js";
import { countsInWords, segments, update as updateSegments } from "../core/segments.js";
import { word } from "../core/words.js";
import { openMenu } from "./menu.js";
import { showState, stateIcon } from "./state.js";

export const addressOf = (run) => at(run.kind === "fleet" ? `/ui/fleet/${run.run_id}` : `/ui/run/${run.run_id}`);

const parts = new WeakMap();

/** `picked(run, chosen)` is told of the box, `itemsOf(run)` gives the menu. */
export function makeRow(run, { picked, itemsOf }) {
  const said = { machine: run.machine.name, when: when(run.created_at) };
  const part = {
    run,
    box: h("input", { type: "checkbox", "aria-label": word("lists.pick", said), hidden: run.kind === "fleet" }),
    icon: stateIcon(),
    link: h("a", { class: "run-said cut" }),
    what: h("span", { class: "run-what cut" }),
    bar: segments(run.counts),
    counts: h("span", { class: "run-counts cut" }),
    machine: h("span", { class: "run-where cut" }),
    when: h("time", { class: "run-when num", datetime: run.created_at, title: exactly(run.created_at) }),
    took: h("span", { class: "run-took num" }),
    more: h("button", { type: "button", class: "btn ghost icon-only row-more", "aria-label": word("lists.more", said), "aria-haspopup": "true", "aria-expanded": "false" }, icon("more")),
  };
  part.box.addEventListener("change", () => picked(part.run, part.box.checked));
  part.more.addEventListener("click", () => openMenu(part.more, itemsOf(part.run)));
  const row = h("li", { class: "run-row" }, h("label", { class: "row-pick" }, part.box), part.icon, part.link, part.what,
    h("span", { class: "run-packs" }, part.bar, part.counts), part.machine, part.when, part.took, part.more);
  parts.set(row, part);
  return row;
}

/** `chosen`: to be compared; `full`: no other can be chosen now. */
export function updateRow(row, run, { chosen, full }) {
  const part = parts.get(row);
  part.run = run;
  setAttribute(row, "data-kind", run.summary.kind);
  setAttribute(row, "data-live", run.in_progress);
  showState(part.icon, run.summary);
  setText(part.link, run.summary.sentence);
  setAttribute(part.link, "title", run.summary.sentence);
  setAttribute(part.link, "href", addressOf(run));
  const what = [run.workflow_files.join(", "), run.list.label].filter(Boolean).join(" · ");
  setText(part.what, what);
  setAttribute(part.what, "title", what);
  updateSegments(part.bar, run.counts);
  setText(part.counts, run.counts?.total ? word("lists.n_ready", run.counts) : "");
  setAttribute(part.counts, "title", countsInWords(run.counts));
  setText(part.machine, run.machine.name);
  setAttribute(part.machine, "title", run.machine.ssh_connection);
  part.box.checked = chosen;
  part.box.disabled = full && !chosen;
  updateTimes(row);
}

/** What changes while nothing happens. */
export function updateTimes(row) {
  const { run, when: started, took } = parts.get(row);
  setText(started, ago(run.created_at));
  setText(took, tookOf(run));
}

/** How long it has worked, without the pauses between an install and what was done later; empty for what never began. */
export function tookOf({ seconds, working_since: since }) {
  const all = seconds + (since ? (Date.now() - Date.parse(since)) / 1000 : 0);
  return all || since ? clock(all) : "";
}
