/** What is different between two runs: what was asked for, packs with their commits and states, packages where both told a lock. */

import { api, ApiError } from "../core/api.js";
import { showTrouble } from "../core/banner.js";
import { h, readable } from "../core/dom.js";
import { clock, when } from "../core/format.js";
import { at } from "../core/place.js";
import { stateWord, toneOf } from "../task/words.js";

const asked = new URLSearchParams(location.search);
const place = document.getElementById("compared");
const SIDES = ["", "Earlier", "Later"];
const PACK_TONES = { verified: "good", installed: "good", failed: "bad", skipped: "idle", cancelled: "warn" };
const OPTIONS = { existing: "packs that are there", exact: "exactly as the lock", run_scripts: "install scripts", verify: "import check", restart: "restart", plan_only: "plan only", on_failure: "if something fails", require: "needed for success" };

async function taskOf(name) {
  const id = asked.get(name);
  if (!id) throw new ApiError({ code: "missing", message: "This page compares two runs, and the address names fewer.", hint: "Choose two in the history.", status: 400 });
  try {
    return await api(`/tasks/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error.status !== 404 && error.status !== 400) throw error;
    throw new ApiError({ code: error.code, message: `There is no run ${id.slice(0, 60)}.`, hint: "It may have been pruned. Choose two in the history.", status: error.status });
  }
}

async function lockOf(task) {
  try {
    return (await api(`/tasks/${task.task_id}/lock`)).lock;
  } catch (error) {
    if (error.status === 404) return null; // it told none
    throw error;
  }
}

function table(label, rows, note = "") {
  const body = rows.map(([name, one, other, differs]) => h("tr", { "data-differs": String(differs) }, h("th", { scope: "row" }, name), h("td", {}, one), h("td", {}, other)));
  return h("section", { class: "card" }, h("h2", {}, label), note ? h("p", { class: "soft small" }, note) : null,
    h("table", { class: "sides" }, h("thead", {}, h("tr", {}, SIDES.map((text) => h("th", { scope: "col" }, text || h("span", { class: "visually-hidden" }, "What"))))), h("tbody", {}, body)));
}

function same(label, text) {
  return h("section", { class: "card" }, h("h2", {}, label), h("p", { class: "soft" }, text));
}

function heads(tasks) {
  const row = (name, of, show = of) => [name, ...tasks.map((task) => show(task)), of(tasks[0]) !== of(tasks[1])];
  const plain = (name, of) => row(name, (task) => of(task) ?? "not known");
  const probe = (name) => (task) => task.probe[name];
  const rows = [
    [...row("Started", (task) => when(task.created_at), (task) => h("a", { href: at(`/ui/task/${task.task_id}`) }, when(task.created_at))).slice(0, 3), false],
    plain("Instance", (task) => task.instance),
    plain("Folder", (task) => task.probe.ui_home ?? task.ui_home),
    row("How it went", (task) => stateWord(task), (task) => h("span", { class: "pill", "data-tone": toneOf(task) }, stateWord(task))),
    [...plain("Took", (task) => clock(task.progress.elapsed_seconds)).slice(0, 3), false],
    plain("Node packs", (task) => `${task.successful} of ${task.total_nodes}`),
    plain("Interpreter", probe("interpreter")),
    plain("ComfyUI", (task) => task.probe.comfyui_commit?.slice(0, 12)),
    plain("GPU", (task) => (task.probe.gpu ?? []).map((card) => card.name).join(", ") || (task.probe.ui_home ? "none" : undefined)),
  ];
  if (tasks.some((task) => task.error)) {
    rows.push(row("Why", (task) => task.error?.code ?? "", (task) => (task.error ? h("span", {}, task.error.message, h("span", { class: "ties" }, task.error.hint)) : "–")));
  }
  for (const name of new Set(tasks.flatMap((task) => Object.keys(task.request.options)))) {
    const of = (task) => String(task.request.options[name]);
    if (of(tasks[0]) !== of(tasks[1])) rows.push(plain(`Asked: ${OPTIONS[name] ?? name}`, of));
  }
  return table("The runs", rows);
}

const both = (one, other) => [...new Set([...one.keys(), ...other.keys()])].toSorted((a, b) => a.localeCompare(b));

function packCell(node) {
  if (!node) return h("span", { class: "soft" }, "not in it");
  return [h("span", { class: "pill", "data-tone": PACK_TONES[node.state] ?? "live" }, node.state),
    node.commit ? h("span", { class: "mono small" }, node.commit.slice(0, 12)) : null,
    node.error ? h("span", { class: "why" }, node.error.message) : null].filter(Boolean);
}

function packs(tasks) {
  const [left, right] = tasks.map((task) => new Map(task.progress.nodes.map((node) => [node.name, node])));
  const essence = (node) => (node ? `${node.state} ${node.commit} ${node.error?.code}` : "");
  const names = both(left, right);
  const differing = names.filter((name) => essence(left.get(name)) !== essence(right.get(name)));
  if (!names.length) return same("Node packs", "Neither run came to know its node packs.");
  if (!differing.length) return same("Node packs", `The same in both runs, at the same commits: ${names.length}.`);
  return table("Node packs", differing.map((name) => [name, packCell(left.get(name)), packCell(right.get(name)), false]), `${differing.length} of ${names.length} differ.`);
}

function packages(locks) {
  const without = locks.map((lock, side) => (lock?.packages ? "" : SIDES[side + 1].toLowerCase())).filter(Boolean);
  if (without.length) return same("Python packages", `They cannot be compared: the ${without.join(" and the ")} run told no lock. One is told at the end of a run that was not stopped.`);
  const [left, right] = locks.map((lock) => new Map(Object.entries(lock.packages)));
  const names = both(left, right);
  const differing = names.filter((name) => left.get(name) !== right.get(name));
  if (!differing.length) return same("Python packages", `The same versions in both runs: ${names.length}.`);
  return table("Python packages", differing.map((name) => [name, left.get(name) ?? "–", right.get(name) ?? "–", false]), `${differing.length} of ${names.length} differ.`);
}

try {
  const tasks = (await Promise.all([taskOf("a"), taskOf("b")])).toSorted((one, other) => one.created_at.localeCompare(other.created_at));
  const locks = await Promise.all(tasks.map(lockOf));
  const itself = tasks[0].task_id === tasks[1].task_id;
  const going = tasks.some((task) => task.in_progress);
  place.replaceChildren(...[
    itself ? h("p", { class: "note", "data-tone": "warn" }, "This is one run compared with itself.") : null,
    going ? h("p", { class: "note", "data-tone": "live" }, "One of the runs still goes on: this is how it stood when the page was opened.") : null,
    heads(tasks), packs(tasks), packages(locks)].filter(Boolean));
} catch (error) {
  place.replaceChildren(h("p", { class: "note", "data-tone": "bad" }, h("strong", {}, error.message), readable(error.hint ?? "")));
  if (error.unreachable) showTrouble(error);
}
