/** All runs, newest first. The newest page is asked for again and again; older ones come when they are wanted. */

import { api } from "../core/api.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { clock, count, when } from "../core/format.js";
import { remember } from "../core/memory.js";
import { at } from "../core/place.js";
import { Poller } from "../core/poller.js";
import { stateWord, toneOf } from "../task/words.js";

const get = (id) => document.getElementById(id);
const STATES = [["", "All"], ["running", "Running"], ["queued", "Queued"], ["completed", "Done"], ["failed", "Failed"], ["cancelled", "Stopped"]];
const PAGE = 50;
const asked = new URLSearchParams(location.search);
const picked = new Map();
const instances = new Set();
let rows = new Map();
let state = STATES.some(([name]) => name === asked.get("state")) ? asked.get("state") : "";
let instance = asked.get("instance") ?? "";
let cursor = null;
let older = false;
let answered = false;
let generation = 0;

function address(more = {}) {
  const words = Object.entries({ limit: PAGE, state, instance, ...more }).filter(([, value]) => value);
  return `/tasks?${new URLSearchParams(words)}`;
}

async function newest(signal) {
  const mine = generation;
  const { tasks, next_cursor: next } = await api(address(), { signal });
  if (mine !== generation) return true; // another filter was chosen meanwhile
  if (!older) cursor = next;
  const oldest = next ? tasks.at(-1).created_at : "";
  const here = new Set(tasks.map((task) => task.task_id));
  for (const [id, task] of rows) if (task.created_at >= oldest && !here.has(id)) rows.delete(id); // pruned, or in another state now
  take(tasks);
  return true;
}

async function showOlder() {
  const mine = generation;
  const found = await api(address({ cursor }));
  if (mine !== generation) return;
  older = true;
  cursor = found.next_cursor;
  take(found.tasks);
}

function take(tasks) {
  answered = true;
  for (const task of tasks) {
    rows.set(task.task_id, task);
    if (picked.has(task.task_id)) picked.set(task.task_id, task);
    instances.add(task.instance);
  }
  draw();
}

function draw() {
  const words = get("search").value.trim().toLowerCase();
  const wanted = [...rows.values()]
    .filter((task) => `${task.instance} ${task.ssh_connection} ${task.ui_home ?? ""}`.toLowerCase().includes(words))
    .toSorted((one, other) => other.created_at.localeCompare(one.created_at));
  patchList(get("rows"), wanted, { key: (task) => task.task_id, make, update });
  patchList(get("instances"), [...instances].toSorted(), { key: (name) => name, make: (name) => h("option", { value: name }), update: () => {} });
  setHidden(get("loading"), answered);
  setHidden(get("table"), !wanted.length);
  const filtered = Boolean(state || words);
  setHidden(get("empty"), !answered || wanted.length > 0 || filtered);
  setHidden(get("nothing"), !answered || wanted.length > 0 || !filtered);
  setHidden(get("more"), !cursor);
  get("compare").disabled = picked.size !== 2;
  setText(get("picked"), picked.size && picked.size !== 2 ? `${count(picked.size, "run")} chosen; compare takes two` : "");
  for (const chip of get("chips").children) setAttribute(chip, "aria-pressed", String(chip.dataset.state === state));
}

const kindOf = (task) => (task.rollback_of ? "Rollback" : task.restart_of ? "Restart" : task.retry_of ? "Retry" : "Install");

function make(task) {
  const box = h("input", { type: "checkbox", "aria-label": `Compare the run on ${task.instance} of ${when(task.created_at)}` });
  box.checked = picked.has(task.task_id);
  box.addEventListener("change", () => {
    if (box.checked) picked.set(task.task_id, task);
    else picked.delete(task.task_id);
    draw();
  });
  const only = h("button", { type: "button", class: "instance-name", title: `Only ${task.instance}`, onclick: () => choose({ instance: task.instance }) }, task.instance);
  const again = h("button", { type: "button", class: "small", onclick: () => installAgain(task.task_id) }, "Install elsewhere");
  return h("tr", {},
    h("td", {}, box),
    h("td", {}, h("span", { class: "run-kind" }, `${kindOf(task)} `), h("a", { href: at(`/ui/task/${task.task_id}`) }, when(task.created_at)), h("span", { class: "ties" })),
    h("td", {}, only, h("span", { class: "ties wrap-anywhere" }, task.ui_home ?? "")),
    h("td", {}, h("span", { class: "pill" }), h("span", { class: "why" })),
    h("td", { class: "number", "data-label": "Node packs" }), h("td", { class: "number", "data-label": "Took" }),
    h("td", {}, task.rollback_of || task.restart_of ? null : again));
}

function update(row, task) {
  const [, run, , how, packs, took] = row.children;
  patchList(run.querySelector(".ties"), tiesOf(task), { key: ([name, href]) => name + href, make: ([name, href]) => h("a", { href }, name), update: () => {} });
  const pill = how.querySelector(".pill");
  setText(pill, kindOf(task) === "Restart" && task.state === "completed" ? "done" : stateWord(task));
  setAttribute(pill, "data-tone", toneOf(task));
  setText(how.querySelector(".why"), task.error?.message ?? "");
  setText(packs, countsOf(task));
  setText(took, tookOf(task));
}

function tiesOf(task) {
  const to = (id) => (rows.has(id) ? ` of ${when(rows.get(id).created_at)}` : "");
  const ties = [];
  if (task.retry_of) ties.push([`repeats the run${to(task.retry_of)}`, at(`/ui/task/${task.retry_of}`)]);
  if (task.rollback_of) ties.push([`undoes the run${to(task.rollback_of)}`, at(`/ui/task/${task.rollback_of}`)]);
  if (task.restart_of && task.restart_of !== "none") ties.push([`after the run${to(task.restart_of)}`, at(`/ui/task/${task.restart_of}`)]);
  if (task.retried_by) ties.push([`repeated by the run${to(task.retried_by)}`, at(`/ui/task/${task.retried_by}`)]);
  if (task.fleet_id) ties.push(["in a fleet", at(`/ui/fleet/${task.fleet_id}`)]);
  return ties;
}

function countsOf(task) {
  if (!task.total_nodes) return "";
  const parts = [`${task.successful} of ${task.total_nodes}`];
  if (task.failed) parts.push(`${task.failed} failed`);
  if (task.skipped) parts.push(`${task.skipped} left out`);
  return parts.join(", ");
}

function tookOf(task) {
  if (!task.started_at || (!task.finished_at && !task.in_progress)) return "";
  const end = task.finished_at ? new Date(task.finished_at) : new Date();
  return clock((end - new Date(task.started_at)) / 1000);
}

/** The same list becomes the recipe of the start page, which asks for another machine. */
async function installAgain(taskId) {
  try {
    const { request } = await api(`/tasks/${taskId}`);
    remember("recipe", { manifest: request.manifest, left: [], label: request.manifest ? "the list of an earlier run" : "The Auto-installer’s list" });
    location.assign(at("/?recipe=last"));
  } catch (error) {
    showTrouble(error);
  }
}

/** Another filter: what is there goes, and the newest is asked for at once. The address says it, for a reload. */
function choose(wanted) {
  ({ state, instance } = { state, instance, ...wanted });
  if ("instance" in wanted) get("search").value = instance;
  rows = new Map();
  [cursor, older, answered] = [null, false, false];
  generation += 1;
  const words = Object.entries({ state, instance }).filter(([, value]) => value);
  history.replaceState(null, "", words.length ? `?${new URLSearchParams(words)}` : location.pathname);
  draw();
  poller.now();
}

for (const [name, label] of STATES) {
  get("chips").append(h("button", { type: "button", "data-state": name, "aria-pressed": String(name === state), onclick: () => choose({ state: name }) }, label));
}
get("search").value = instance;
get("search").addEventListener("input", () => {
  const text = get("search").value.trim();
  const whole = instances.has(text) ? text : "";
  if (whole !== instance) {
    instance = whole;
    const kept = get("search").value;
    choose({});
    get("search").value = kept;
  } else draw();
});
get("everything").addEventListener("click", () => choose({ state: "", instance: "" }));
get("more").addEventListener("click", () => showOlder().catch(showTrouble));
get("compare").addEventListener("click", () => {
  const [one, other] = [...picked.values()].toSorted((a, b) => a.created_at.localeCompare(b.created_at));
  location.assign(at(`/ui/compare?a=${one.task_id}&b=${other.task_id}`));
});
const poller = new Poller(newest, { interval: 4000, failed: showTrouble, answered: clearTrouble }).start();
