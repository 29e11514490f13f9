/** What is different between two runs: packs, their commits and states, packages where both told a lock. */

import { api } from "../core/api.js";
import { showTrouble } from "../core/banner.js";
import { h } from "../core/dom.js";
import { span, when } from "../core/format.js";
import { stateWord, toneOf } from "../task/words.js";

const asked = new URLSearchParams(location.search);
const place = document.getElementById("compared");

try {
  const [one, other] = await Promise.all([asked.get("a"), asked.get("b")].map((id) => api(`/tasks/${encodeURIComponent(id ?? "")}`)));
  const locks = await Promise.all([one, other].map((task) => api(`/tasks/${task.task_id}/lock`).catch(() => null)));
  place.replaceChildren(heads(one, other), packs(one.progress.nodes, other.progress.nodes), packages(locks));
} catch (error) {
  place.replaceChildren(h("p", { class: "note", "data-tone": "bad" }, h("strong", {}, error.message), error.hint ?? ""));
  showTrouble(error);
}

function table(label, heads, rows) {
  return h("section", {}, h("h2", {}, label), h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows))));
}

function heads(...tasks) {
  const line = (name, of) => h("tr", {}, h("th", { scope: "row" }, name), tasks.map((task) => h("td", { class: "wrap-anywhere" }, of(task))));
  return table("The runs", ["", "Earlier", "Later"], [
    line("Started", (task) => h("a", { href: `/ui/task/${task.task_id}` }, when(task.created_at))),
    line("Instance", (task) => task.instance),
    line("State", (task) => h("span", { class: "pill", "data-tone": toneOf(task.progress) }, stateWord(task.progress))),
    line("Took", (task) => span(task.progress.elapsed_seconds)),
    line("Interpreter", (task) => task.probe.interpreter ?? "not known"),
    line("ComfyUI", (task) => (task.probe.comfyui_commit ?? "not known").slice(0, 12)),
  ]);
}

function both(one, other) {
  return [...new Set([...one.keys(), ...other.keys()])].toSorted((a, b) => a.localeCompare(b));
}

function packs(one, other) {
  const [left, right] = [one, other].map((nodes) => new Map(nodes.map((node) => [node.name, node])));
  const text = (node) => (node ? `${node.state}${node.commit ? ` at ${node.commit.slice(0, 10)}` : ""}${node.error ? `: ${node.error.code}` : ""}` : "not in it");
  return different("Node packs", both(left, right).map((name) => [name, text(left.get(name)), text(right.get(name))]));
}

function packages(locks) {
  if (locks.some((found) => !found)) return h("p", { class: "soft" }, "Python packages cannot be compared: one of the runs told no lock.");
  const [left, right] = locks.map(({ lock }) => new Map(Object.entries(lock.packages ?? {})));
  return different("Python packages", both(left, right).map((name) => [name, left.get(name) ?? "–", right.get(name) ?? "–"]));
}

function different(label, all) {
  const rows = all.filter(([, one, other]) => one !== other);
  if (!rows.length) return h("section", {}, h("h2", {}, label), h("p", { class: "soft" }, `The same in both runs (${all.length}).`));
  return table(`${label}: ${rows.length} of ${all.length} differ`, ["", "Earlier", "Later"], rows.map(([name, ...cells]) => h("tr", {}, h("th", { scope: "row" }, name), cells.map((cell) => h("td", { class: "mono small wrap-anywhere" }, cell)))));
}
