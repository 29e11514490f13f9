/** All runs, newest first, live. */

import { api } from "../core/api.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { announce, h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { keys } from "../core/keys.js";
import { Poller } from "../core/poller.js";
import { word } from "../core/words.js";
import { againAt } from "../lists/again.js";
import { fromAddress, isFiltered, toAddress } from "../lists/filters.js";
import { holdOf } from "../lists/hold.js";
import { Picked } from "../lists/picked.js";
import { RunList } from "../lists/run-list.js";
import { addressOf, makeRow, updateRow, updateTimes } from "../lists/run-row.js";

const get = (id) => document.getElementById(id);
const EVERY = 4000;
const TYPING = 250;

const picked = new Picked(get("tray"), draw);
const hold = holdOf(get("rows"), get("top"), () => list.letIn());
const list = new RunList({ changed: draw, held: hold });
const poller = new Poller(look, { interval: EVERY, failed: showTrouble, answered: clearTrouble });
let typing = null;

async function look(signal) {
  if (document.visibilityState === "visible") await list.newest(signal);
  return true;
}

function draw() {
  const runs = list.newestFirst;
  picked.refresh(list.rows);
  patchList(get("rows"), runs, { key: (run) => run.run_id, make: (run) => makeRow(run, { picked: (...one) => picked.set(...one), itemsOf }), update: (row, run) => updateRow(row, run, { chosen: picked.has(run), full: picked.full }) });
  const filtered = isFiltered(list.filters);
  const none = list.answered && !runs.length;
  setHidden(get("loading"), list.answered);
  setHidden(get("table"), !runs.length);
  setHidden(get("chips"), none && !filtered);
  setHidden(get("find"), none && !filtered);
  setHidden(get("empty"), !none || filtered);
  setHidden(get("nothing"), !none || !filtered);
  setHidden(get("older"), !list.cursor);
  setHidden(get("fresh"), !list.waiting.size);
  setText(get("fresh"), word("lists.new_runs", { n: list.waiting.size }));
}

function itemsOf(run) {
  const fleet = run.kind === "fleet";
  const items = [
    { label: word("lists.open"), href: addressOf(run) },
    !fleet && { label: word("lists.again"), href: againAt(run) },
    !fleet && { label: word("lists.elsewhere"), href: againAt(run, { elsewhere: true }) },
    !fleet && { label: word(picked.others(run) ? "lists.compare_to_chosen" : "lists.compare_with"), onclick: () => picked.compareWith(run) },
    run.machine.instance && { label: word("lists.only_machine"), onclick: () => choose({ instance: run.machine.instance }) },
  ];
  return items.filter(Boolean);
}

/** Other filters. */
function choose(wanted, { step = true } = {}) {
  const filters = { ...list.filters, ...wanted };
  toAddress(filters, { step });
  show(filters);
}

function show(filters) {
  list.show(filters);
  for (const chip of get("chips").children) setAttribute(chip, "aria-pressed", String(chip.dataset.state === filters.state));
  if (get("search").value.trim() !== filters.q) get("search").value = filters.q;
  chooseMachine(filters.instance);
  draw();
  poller.now();
}

/** A machine that was asked for is always in the choice, so that it can be taken back. */
function chooseMachine(instance) {
  const choice = get("machine");
  if (![...choice.options].some(({ value }) => value === instance)) choice.append(h("option", { value: instance }, instance));
  choice.value = instance;
}

async function nameMachines() {
  const { instances } = await api("/instances");
  get("machine").replaceChildren(h("option", { value: "" }, word("lists.all_machines")), ...instances.map((each) => h("option", { value: each.instance, title: each.ssh_connection }, each.name)));
  chooseMachine(list.filters.instance);
}

/** To the next or the previous run: `step` is 1 or -1. */
function go(step) {
  const rows = [...get("rows").children];
  const here = rows.findIndex((row) => row.contains(document.activeElement));
  rows.at(here < 0 ? 0 : Math.min(Math.max(here + step, 0), rows.length - 1))?.querySelector("a").focus();
}

function byArrows(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches(".run-said")) return;
  event.preventDefault();
  go(step);
}

for (const chip of get("chips").children) chip.addEventListener("click", () => choose({ state: chip.dataset.state }));
get("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => choose({ q: get("search").value.trim() }, { step: false }), TYPING);
});
get("machine").addEventListener("change", () => choose({ instance: get("machine").value }));
get("everything").addEventListener("click", () => choose({ state: "", instance: "", q: "" }));
get("fresh").addEventListener("click", () => {
  announce(get("fresh").textContent);
  scrollTo({ top: 0 });
  list.letIn();
});
get("older").addEventListener("click", () => list.showOlder().catch(showTrouble));
get("rows").addEventListener("keydown", byArrows);
keys.register("j", "lists.key_next", () => go(1));
keys.register("k", "lists.key_previous", () => go(-1));
keys.register("x", "lists.key_pick", () => document.activeElement.closest?.(".run-row")?.querySelector("input")?.click());
addEventListener("popstate", () => show(fromAddress()));
setInterval(() => document.visibilityState === "visible" && [...get("rows").children].forEach(updateTimes), 1000);

show(fromAddress());
poller.start();
nameMachines().catch(showTrouble);
