import { api } from "../core/api.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { span, when } from "../core/format.js";
import { Poller } from "../core/poller.js";
import { remember } from "../core/memory.js";
import { stateWord, toneOf } from "../task/words.js";

const get = (id) => document.getElementById(id);
const STATES = [["", "All"], ["running", "Running"], ["queued", "Queued"], ["completed", "Done"], ["failed", "Failed"], ["cancelled", "Stopped"]];
const PAGE = 50;
let rows = new Map();
let state = "";
let cursor = null;
const picked = new Set();

async function newest(signal) {
  const found = await api(`/tasks?limit=${PAGE}${state ? `&state=${state}` : ""}`, { signal });
  if (rows.size <= PAGE) cursor = found.next_cursor;
  take(found.tasks);
  return true;
}

async function older() {
  const found = await api(`/tasks?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}${state ? `&state=${state}` : ""}`);
  cursor = found.next_cursor;
  take(found.tasks);
}

function take(tasks) {
  for (const task of tasks) rows.set(task.task_id, task);
  draw();
}

function draw() {
  const words = get("search").value.trim().toLowerCase();
  const wanted = [...rows.values()]
    .filter((task) => (!state || task.state === state) && `${task.instance} ${task.ui_home ?? ""}`.toLowerCase().includes(words))
    .toSorted((one, other) => other.created_at.localeCompare(one.created_at));
  patchList(get("rows"), wanted, { key: (task) => task.task_id, make, update });
  setHidden(get("empty"), wanted.length > 0);
  setHidden(get("more"), !cursor);
  get("compare").disabled = picked.size !== 2;
}

function make(task) {
  const box = h("input", { type: "checkbox", "aria-label": `Compare the run on ${task.instance} of ${when(task.created_at)}` });
  box.addEventListener("change", () => {
    if (box.checked) picked.add(task.task_id);
    else picked.delete(task.task_id);
    draw();
  });
  return h("tr", {}, h("td", {}, box), h("td", {}, h("a", { href: `/ui/task/${task.task_id}` }, when(task.created_at))), h("td", { class: "wrap-anywhere" }, task.instance),
    h("td", {}, h("span", { class: "pill" })), h("td", { class: "number" }), h("td", { class: "number" }),
    h("td", {}, h("button", { type: "button", class: "small", onclick: () => again(task.task_id) }, "Install elsewhere")));
}

function update(row, task) {
  const pill = row.querySelector(".pill");
  setText(pill, stateWord(task));
  setAttribute(pill, "data-tone", toneOf(task));
  const [, , , , packs, took] = row.children;
  setText(packs, task.total_nodes ? `${task.successful} of ${task.total_nodes}${task.failed ? `, ${task.failed} failed` : ""}` : "");
  setText(took, task.started_at && task.finished_at ? span((new Date(task.finished_at) - new Date(task.started_at)) / 1000) : "");
}

/** The same list becomes the recipe of the start page, which asks for another machine. */
async function again(taskId) {
  try {
    const { request } = await api(`/tasks/${taskId}`);
    remember("recipe", { manifest: request.manifest, left: [], label: request.manifest ? "the list of an earlier run" : "The Auto-installer’s list" });
    location.assign("/?recipe=last");
  } catch (error) {
    showTrouble(error);
  }
}

for (const [name, label] of STATES) {
  const chip = h("button", { type: "button", "aria-pressed": String(!name) }, label);
  chip.addEventListener("click", () => {
    state = name;
    rows = new Map();
    cursor = null;
    for (const other of get("chips").children) other.setAttribute("aria-pressed", String(other === chip));
    draw();
    poller.now();
  });
  get("chips").append(chip);
}
get("search").addEventListener("input", draw);
get("more").addEventListener("click", () => older().catch(showTrouble));
get("compare").addEventListener("click", () => {
  const [one, other] = [...picked].toSorted((a, b) => rows.get(a).created_at.localeCompare(rows.get(b).created_at));
  location.assign(`/ui/compare?a=${one}&b=${other}`);
});
const poller = new Poller(newest, { interval: 5000, failed: showTrouble, answered: clearTrouble }).start();
