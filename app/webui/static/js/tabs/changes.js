/** What is changed in ComfyUI's Python packages: before, after, for which node packs. What becomes older stands first. */

import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { word } from "../core/words.js";
import { about, isHidden, versionOf } from "./about.js";

const KINDS = ["older", "change", "remove", "add"];
const NAMED = 2; // packs that stand in a row; the others are counted
const kindOf = (change) => (change.downgrade ? "older" : change.change);

export class ChangesTab {
  constructor(element) {
    Object.assign(this, { element, plan: [], kind: null, asked: "" });
    this.field = h("input", { type: "search", placeholder: word("log.find_package"), "aria-label": word("log.find_package"), autocomplete: "off", oninput: () => this.#draw() });
    this.kinds = h("div", { class: "change-kinds", role: "group", "aria-label": word("log.show_changes") });
    this.warning = h("p", { class: "note", "data-tone": "warn", hidden: true });
    this.about = h("p", { class: "soft small" });
    this.body = h("tbody", {});
    const head = h("tr", {}, ["package", "before", "after", "kind", "for", "size"].map((name) => h("th", { scope: "col", class: `change-${name}` }, word(`log.col_${name}`))));
    this.table = h("table", { class: "changes" }, h("thead", {}, head), this.body);
    this.none = h("p", { class: "tab-empty soft", hidden: true }, word("log.no_such_change"));
    this.all = h("div", { class: "tab-all", hidden: true }, h("div", { class: "tab-tools" }, this.field, this.kinds), this.warning, this.about, this.table, this.none);
    this.empty = h("p", { class: "tab-empty soft" });
    element.append(this.all, this.empty);
  }

  async update(progress) {
    this.progress = progress;
    const version = versionOf(progress);
    if (isHidden(this.element) || this.asked === version) return;
    this.asked = version;
    try {
      const task = await about(`/tasks/${progress.task_id}`, version);
      if (this.asked === version) this.#take(task);
    } catch (error) {
      this.asked = "";
      this.#nothing(error.message);
    }
  }

  #take({ plan, request, progress }) {
    this.plan = plan ?? [];
    if (!this.plan.length) return this.#nothing(word(plan ? "log.no_changes" : progress.in_progress ? "log.changes_not_yet" : "log.changes_never"));
    setHidden(this.empty, true);
    setHidden(this.all, false);
    const older = this.plan.filter((change) => change.downgrade);
    setText(this.warning, older.length ? word("log.older_warning", { n: older.length, names: older.slice(0, 4).map((change) => change.package).join(", ") + (older.length > 4 ? ", …" : "") }) : "");
    setHidden(this.warning, !older.length);
    setText(this.about, this.#sentence(request.options?.plan_only));
    this.#draw();
  }

  #nothing(text) {
    setText(this.empty, text);
    setHidden(this.empty, false);
    setHidden(this.all, true);
  }

  #sentence(planOnly) {
    const size = this.plan.reduce((sum, change) => sum + (change.bytes ?? 0), 0);
    const built = this.plan.filter((change) => change.needs_build).length;
    const parts = [word(planOnly ? "log.changes_planned" : "log.changes_made", { n: this.plan.length }), size ? word("log.changes_size", { size: bytes(size) }) : "", built ? word("log.changes_built", { n: built }) : ""];
    return parts.filter(Boolean).join(" ");
  }

  #draw() {
    const counts = new Map(KINDS.map((kind) => [kind, this.plan.filter((change) => kindOf(change) === kind).length]));
    const kinds = [[null, this.plan.length], ...counts].filter(([kind, n]) => n || kind === null);
    patchList(this.kinds, kinds, {
      key: ([kind]) => kind ?? "all",
      make: ([kind]) => h("button", { type: "button", class: "small", onclick: () => this.#choose(kind) }),
      update: (button, [kind, n]) => {
        setText(button, `${word(`log.kind_${kind ?? "all"}`)} ${n}`);
        setAttribute(button, "aria-pressed", String(kind === this.kind));
      },
    });
    const query = this.field.value.trim().toLowerCase();
    const wanted = this.plan.filter((change) => (this.kind === null || kindOf(change) === this.kind) && [change.package, ...change.wanted_by].some((text) => text.toLowerCase().includes(query)));
    wanted.sort((one, other) => KINDS.indexOf(kindOf(one)) - KINDS.indexOf(kindOf(other)) || one.package.localeCompare(other.package));
    patchList(this.body, wanted, { key: (change) => JSON.stringify(change), make: row, update: () => {} });
    setHidden(this.table, !wanted.length);
    setHidden(this.none, wanted.length > 0);
  }

  #choose(kind) {
    this.kind = kind;
    this.#draw();
  }
}

function row(change) {
  const kind = kindOf(change);
  const packs = change.wanted_by;
  const rest = packs.length - NAMED;
  const names = packs.length ? `${packs.slice(0, NAMED).join(", ")}${rest > 0 ? ` +${rest}` : ""}` : word("log.not_known");
  const built = change.needs_build ? h("span", { class: "change-built", title: change.build_from ?? change.build ?? "" }, word("log.built")) : null;
  const [before, after] = difference(change.old, change.new ?? (change.needs_build ? word("log.not_known") : null));
  return h("tr", { "data-kind": kind },
    h("th", { scope: "row", class: "mono change-package" }, change.package),
    h("td", { class: "mono change-before" }, before), h("td", { class: "mono change-after" }, after),
    h("td", { class: "change-kind" }, h("span", { class: "change-word" }, word(`log.word_${kind}`)), built),
    h("td", { class: "change-for", title: packs.join(", ") }, names), h("td", { class: "number change-size" }, bytes(change.bytes)));
}

/** Two versions, with what differs in bold. */
function difference(before, after) {
  if (!before || !after) return [before ?? "–", after ?? "–"];
  let same = 0;
  while (same < before.length && before[same] === after[same]) same += 1;
  while (same > 0 && /[\w]/.test(before[same - 1] ?? "") && !/[.+-]/.test(before[same - 1])) same -= 1; // whole numbers
  return [before, after].map((version) => [version.slice(0, same), h("b", {}, version.slice(same))]);
}
