/** The views beside the rows, of which one is shown, and the log. */

import { setAttribute, setHidden } from "../core/dom.js";
import { tabs } from "../core/tabs.js";
import { LogPanel } from "../log/panel.js";
import { LogSearch } from "../log/search.js";
import { ChangesTab } from "../tabs/changes.js";
import { LockTab } from "../tabs/lock.js";
import { MachineTab } from "../tabs/machine.js";
import { TimelineTab } from "../tabs/timeline.js";
import { standingOf } from "./standings.js";

const NAMES = ["packs", "timeline", "changes", "machine", "lock"];
const VIEWS = { timeline: TimelineTab, changes: ChangesTab, machine: MachineTab, lock: LockTab };

export class Panels {
  constructor(refs, { address, list, tasks, needs }) {
    Object.assign(this, { refs, address, list, tasks, needs, opened: null, views: {}, tab: "packs", progress: null });
    this.log = new LogPanel(refs.log);
    refs.log.addEventListener("log:close", () => this.#closed());
    refs.log.addEventListener("log:line", ({ detail }) => address.write({ line: detail.line }));
    refs.log.addEventListener("log:chosen", ({ detail }) => this.#followed(detail));
    this.found = new LogSearch(null, ({ pack, log, line }) => (pack === null ? this.#ofTheRun(log, line) : this.#goTo(pack, line)));
    refs.rows.before(this.found.element);
    tabs(refs.tabs, (name) => this.#chosen(name));
    document.getElementById("panel-timeline").addEventListener("timeline:pack", ({ detail }) => this.#goTo(detail.pack, null));
  }

  /** `rows`: what is listed; `progress`: of the one task that the other views are about. */
  update(rows, progress) {
    const first = !this.progress;
    Object.assign(this, { progress, rows });
    this.found.of(progress.task_id);
    this.log.update(this.tasks.progress(this.opened?.taskId) ?? progress);
    this.views[this.tab]?.update(progress);
    if (first) this.moved(rows);
  }

  /** What the address names is opened. */
  moved(rows) {
    const { tab, pack } = this.address.read();
    const wanted = NAMES.includes(tab) ? tab : "packs";
    if (wanted !== this.tab) this.#show(wanted);
    if (pack) this.open(rows);
    else this.log.close();
  }

  /** Opens the log of the pack that the address names. */
  open(rows) {
    const { pack, line } = this.address.read();
    const node = rows?.nodes.find(({ name }) => name === pack);
    if (!node) return;
    const taskId = this.tasks.of(pack);
    this.list.mark(pack);
    if (this.opened?.taskId === taskId && this.opened.pack === pack && !line) return;
    this.opened = { taskId, pack };
    this.needs.beside(true);
    if (this.tab !== "packs") this.#show("packs");
    this.log.open({ taskId, pack, line, running: ["working", "waiting"].includes(standingOf(node)), decidingLine: null });
  }

  /** Opens the log of the whole run, at the line that decided it. */
  openRun() {
    if (this.progress) this.#ofTheRun("run", null);
  }

  close() {
    if (this.opened) this.log.close();
  }

  search(text) {
    this.found.search(text);
  }

  /** Package changes of a task that only planned, for the question about them. */
  plan(place, taskId) {
    new ChangesTab(place).update({ task_id: taskId, state: "completed", phase: "finish", packages_total: 0, revision: 0 });
  }

  #goTo(pack, line) {
    this.address.write({ pack, line, tab: null });
    this.open(this.rows);
  }

  /** A log of the run's own: no row is marked, and the address names none. */
  #ofTheRun(log, line) {
    const taskId = this.progress.task_id;
    this.#followed({ pack: null });
    this.opened = { taskId, pack: null };
    if (this.tab !== "packs") this.#show("packs");
    this.log.open({ taskId, pack: null, log, line, running: this.progress.in_progress });
  }

  /** Another log was chosen in the panel itself. */
  #followed({ pack }) {
    this.opened = { taskId: this.opened?.taskId ?? this.progress.task_id, pack };
    this.needs.beside(true);
    this.list.mark(pack);
    this.address.write({ pack, line: null });
  }

  #closed() {
    const pack = this.opened?.pack ?? null;
    this.opened = null;
    this.needs.beside(false);
    this.list.mark(null);
    this.address.write({ pack: null, line: null });
    if (document.activeElement === document.body && !this.list.focus(pack)) this.refs.sentence.focus();
  }

  #chosen(name) {
    this.address.write({ tab: name === "packs" ? null : name }, { push: true });
    this.#show(name);
  }

  #show(name) {
    this.tab = name;
    setAttribute(this.refs.run, "data-tab", name);
    for (const other of NAMES) {
      const tab = document.getElementById(`tab-${other}`);
      setAttribute(tab, "aria-selected", String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
      setHidden(document.getElementById(`panel-${other}`), other !== name);
    }
    if (name in VIEWS) this.views[name] ??= new VIEWS[name](document.getElementById(`panel-${name}`));
    if (this.progress) this.views[name]?.update(this.progress);
  }
}
