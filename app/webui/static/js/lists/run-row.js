/** One run in the list: its state, what was installed, how many packs stand where, on what machine, when, how long. */

import { h, setAttribute, setText } from "../core/dom.js";
import { clock, when } from "../core/format.js";
import { at } from "../core/place.js";
import { countsInWords, segments, update as updateSegments } from "../core/segments.js";
import { word } from "../core/words.js";
import { timeNode, updateTime } from "./ago.js";
import { openMenu } from "./menu.js";
import { sign, updateSign } from "./sign.js";

export const addressOf = (run) => at(run.kind === "fleet" ? `/ui/fleet/${run.run_id}` : `/ui/run/${run.run_id}`);

const parts = new WeakMap();

/** `picked(run, box)` is told of the box, `itemsOf(run)` gives the menu. */
export function makeRow(run, { picked, itemsOf }) {
  const said = { machine: run.machine.name, when: when(run.created_at) };
  const part = {
    run,
    box: h("input", { type: "checkbox", "aria-label": word("lists.pick", said), disabled: run.kind === "fleet" }),
    sign: sign(run.summary),
    link: h("a", { class: "run-said" }),
    what: h("span", { class: "run-what" }),
    bar: segments(run.counts),
    counts: h("span", { class: "run-counts" }),
    machine: h("span", { class: "run-machine" }),
    when: timeNode("run-when"),
    took: h("span", { class: "run-took" }),
  };
  part.box.addEventListener("change", () => picked(part.run, part.box.checked));
  const more = h("button", { type: "button", class: "row-more", "aria-label": word("lists.more", said), "aria-haspopup": "menu", "aria-expanded": "false" }, "⋯");
  more.addEventListener("click", () => openMenu(more, itemsOf(part.run)));
  const row = h("li", { class: "run-row" }, h("label", { class: "row-pick" }, part.box), part.sign, part.link, part.what,
    h("span", { class: "run-packs" }, part.bar, part.counts), part.machine, part.when, part.took, more);
  parts.set(row, part);
  return row;
}

export function updateRow(row, run, { chosen, full }) {
  const part = parts.get(row);
  part.run = run;
  setAttribute(row, "data-kind", run.summary.kind);
  updateSign(part.sign, run.summary);
  setText(part.link, run.summary.sentence);
  setAttribute(part.link, "title", run.summary.sentence);
  setAttribute(part.link, "href", addressOf(run));
  setText(part.what, run.list.label);
  setAttribute(part.what, "title", run.list.label);
  updateSegments(part.bar, run.counts);
  setText(part.counts, run.counts?.total ? word("lists.n_ready", run.counts) : "");
  setAttribute(part.counts, "title", countsInWords(run.counts));
  setText(part.machine, run.machine.name);
  setAttribute(part.machine, "title", run.machine.ssh_connection);
  part.box.checked = chosen;
  part.box.disabled = run.kind === "fleet" || (full && !chosen);
  updateTimes(row);
}

/** What changes while nothing happens. */
export function updateTimes(row) {
  const { run, when: started, took } = parts.get(row);
  updateTime(started, run.created_at);
  setText(took, tookOf(run));
}

function tookOf(run) {
  const end = run.finished_at ? Date.parse(run.finished_at) : run.in_progress ? Date.now() : null;
  return end === null ? "" : clock((end - Date.parse(run.created_at)) / 1000);
}
