/** Which log: the whole run's, the run's others as far as they exist, each pack's. */

import { h, patchList } from "../core/dom.js";
import { word } from "../core/words.js";

const NAMED = ["run", "packages", "imports", "manifest", "lock", "audit"];

/** What people call a log of the run's own. */
export const logName = (log) => (NAMED.includes(log) ? word(`log.of_${log}`) : log);

const key = (pack, log) => (pack === null ? `log ${log}` : `pack ${pack}`);

export class Picker {
  /** `chosen({pack, log})` is called when a person chooses one. */
  constructor(chosen) {
    this.select = h("select", { "aria-label": word("log.which") });
    this.box = h("div", { class: "log-which" }, this.select);
    Object.assign(this, { names: [], others: ["run"], wanted: key(null, "run") });
    this.select.addEventListener("change", () => chosen(this.#of(this.select.value)));
    this.#draw();
  }

  packs(nodes) {
    if (nodes.length === this.names.length && nodes.every((node, index) => node.name === this.names[index])) return;
    this.names = nodes.map((node) => node.name);
    this.#draw();
  }

  /** As the service lists them. */
  logs(rows) {
    this.others = ["run", ...rows.filter((row) => row.node === null && row.log !== "run").map((row) => row.log)];
    this.#draw();
  }

  choose(pack, log) {
    this.wanted = key(pack, log ?? "run");
    if (pack !== null && !this.names.includes(pack)) this.names = [...this.names, pack];
    if (pack === null && !this.others.includes(log)) this.others = [...this.others, log];
    this.#draw();
  }

  #of(value) {
    const name = value.slice(value.indexOf(" ") + 1);
    return value.startsWith("pack ") ? { pack: name, log: "run" } : { pack: null, log: name };
  }

  #draw() {
    const options = [...this.others.map((log) => [key(null, log), logName(log)]), ...this.names.map((name) => [key(name, "run"), name])];
    patchList(this.select, options, { key: ([value]) => value, make: ([value, label]) => h("option", { value }, label), update: () => {} });
    this.select.value = this.wanted;
  }
}
