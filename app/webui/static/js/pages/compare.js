/** Two runs side by side: how each stands, and what is different. What is the same is only counted. */

import { ApiError } from "../core/api.js";
import { showTrouble } from "../core/banner.js";
import { h } from "../core/dom.js";
import { ago, exactly, when } from "../core/format.js";
import { badge } from "../core/icons.js";
import { at } from "../core/place.js";
import { segments } from "../core/segments.js";
import { word } from "../core/words.js";
import { packages, packs, settings } from "../lists/differences.js";
import { addressOf } from "../lists/run-row.js";
import { sideOf } from "../lists/sides.js";
import { showState, stateIcon } from "../lists/state.js";

const asked = new URLSearchParams(location.search);
const place = document.getElementById("compared");
const NAMES = [word("lists.earlier"), word("lists.later")];

function headOf({ run }, name) {
  const icon = stateIcon();
  showState(icon, run.summary);
  return h("div", { class: "side" }, h("span", { class: "side-name" }, name),
    h("a", { class: "side-said", href: addressOf(run) }, icon, h("span", {}, run.summary.sentence)),
    segments(run.counts),
    h("span", { class: "soft wrap-anywhere" }, run.machine.name),
    h("time", { class: "soft", datetime: run.created_at, title: exactly(run.created_at) }, ago(run.created_at)));
}

function section(title, found, { same, none = same, cell, mono = false }) {
  if (!found.rows.length) return h("section", {}, h("h2", {}, title), h("p", { class: "soft" }, found.total ? same(found.total) : none(0)));
  const column = (text) => h("th", { scope: "col", role: "columnheader" }, text);
  const rows = found.rows.map(([name, ...both]) => h("tr", { role: "row" }, h("th", { scope: "row", role: "rowheader" }, name), both.map((one) => h("td", { role: "cell", class: mono ? "mono" : null }, cell(one)))));
  return h("section", {}, h("h2", {}, title, h("span", { class: "soft" }, ` ${word("lists.differ", { n: found.rows.length, total: found.total })}`)),
    h("table", { class: "sides", role: "table", "aria-label": title },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("td", { role: "cell" }), NAMES.map(column))), h("tbody", { role: "rowgroup" }, rows)));
}

const absent = (text) => h("span", { class: "soft" }, text);

function packCell(node) {
  if (!node) return absent(word("lists.not_in"));
  return h("div", { class: "side-pack" }, badge(node.standing), node.commit ? h("span", { class: "mono soft", title: node.commit }, node.commit.slice(0, 10)) : null, node.error ? h("span", { class: "side-why" }, node.error.message) : null);
}

function packagesOf(sides) {
  const found = packages(sides);
  const title = word("lists.packages");
  const cell = (version) => version ?? absent(word("lists.not_installed"));
  if (found) return section(title, found, { same: (n) => word("lists.same_packages", { n }), cell, mono: true });
  const without = sides.map(({ lock }) => !lock?.packages);
  const which = word(without[0] && without[1] ? "lists.which_both" : without[0] ? "lists.which_earlier" : "lists.which_later");
  return h("section", {}, h("h2", {}, title), h("p", { class: "soft" }, word("lists.neither_packages", { which })));
}

function draw(sides) {
  const notes = [];
  if (sides[0].run.run_id === sides[1].run.run_id && sides[0].task?.task_id === sides[1].task?.task_id) notes.push(["warn", word("lists.itself")]);
  if (sides.some(({ run }) => run.in_progress)) notes.push(["live", word("lists.going", { when: when(new Date().toISOString()) })]);
  place.replaceChildren(
    ...notes.map(([tone, text]) => h("p", { class: "note", "data-tone": tone }, text)),
    h("section", { class: "side-heads" }, sides.map((side, index) => headOf(side, NAMES[index]))),
    section(word("lists.packs"), packs(sides), { same: (n) => word("lists.same_packs", { n }), none: () => word("lists.neither_packs"), cell: packCell }),
    packagesOf(sides),
    section(word("lists.settings"), settings(sides), { same: () => word("lists.same_settings"), cell: (value) => value ?? absent(word("lists.not_known")) }));
}

try {
  const ids = ["a", "b"].map((name) => asked.get(name));
  if (ids.some((id) => !id)) throw new ApiError({ code: "missing", message: word("lists.compare_two"), hint: word("lists.compare_two_hint"), status: 400 });
  const sides = await Promise.all(ids.map(sideOf));
  draw(sides.toSorted((one, other) => one.run.created_at.localeCompare(other.run.created_at)));
} catch (error) {
  place.replaceChildren(h("div", { class: "no-rows" }, h("h2", {}, error.message), h("p", { class: "soft" }, error.hint ?? ""), h("a", { class: "btn primary", href: at("/ui/runs") }, word("lists.to_runs"))));
  if (error.unreachable) showTrouble(error);
}
