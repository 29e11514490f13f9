/** One install on a page: polled every two seconds, patched in place, told in the tab. */

import { api } from "../core/api.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { announce, h, patchList, setAttribute, setHidden, setPart, setText } from "../core/dom.js";
import { bytes, clock, rate, span } from "../core/format.js";
import { Poller } from "../core/poller.js";
import { notifyEnd, showInTab } from "../core/signals.js";
import { tabs } from "../core/tabs.js";
import { Actions } from "./actions.js";
import { Live } from "./live.js";
import { Log, logTail } from "./log.js";
import { Packs } from "./packs.js";
import { drawPlan } from "./plan.js";
import { Questions } from "./questions.js";
import { Timeline } from "./timeline.js";
import { endingOf, nowOf, stateWord, toneOf } from "./words.js";

const SILENT = { warn: 10, bad: 30 };

export class TaskView {
  /** `initial`: GET /tasks/ID as the page carried it, or null. `ended(progress)` is called once. `tab`: whether title and icon are this task's. */
  constructor(root, { initial = null, ended = () => {}, tab = true } = {}) {
    this.taskId = root.dataset.task;
    this.refs = Object.fromEntries([...root.querySelectorAll("[data-ref]")].map((node) => [node.dataset.ref, node]));
    const { packs, chips, search, noPacks } = this.refs;
    this.packs = new Packs({ list: packs, chips, search, none: noPacks }, (name) => logTail(this.taskId, name));
    this.timeline = new Timeline(this.refs);
    this.log = new Log(this.taskId, this.refs);
    this.poller = new Poller((signal) => this.#ask(signal), { failed: showTrouble, answered: clearTrouble });
    this.actions = new Actions(this.taskId, this.refs.actions, { look: () => this.poller.now() });
    this.questions = new Questions(this.taskId, this.refs.questions, () => this.poller.now());
    this.live = new Live(this.taskId, (progress) => this.#news(progress));
    Object.assign(this, { progress: null, over: false, heardAt: 0, ended, tab, panel: "packs" });
    tabs(root.querySelector('[role="tablist"]'), (panel) => this.#show(panel));
    if (initial) {
      this.#take(initial.progress);
      this.#tell(initial);
    }
  }

  start() {
    if (!this.name) this.#about();
    this.poller.start();
    this.clock = setInterval(() => this.#tick(), 1000);
    return this;
  }

  stop() {
    this.poller.stop();
    this.live.stop();
    clearInterval(this.clock);
  }

  async #ask(signal) {
    const body = { task_id: this.taskId };
    if (this.progress) body.since = this.progress.revision;
    const answer = await api("/ssh/install-custom-nodes/progress", { body, signal });
    if (!answer.unchanged) this.#news(answer);
    else this.#heard(answer.last_event_seconds_ago);
    if (this.panel === "log") await this.log.look();
    if (this.progress.in_progress) this.live.look(this.progress.revision);
    return this.progress.in_progress;
  }

  /** Polls and the stream may overtake each other: what is older than what is shown is not shown. */
  #news(progress) {
    if (!this.progress || progress.revision >= this.progress.revision) this.#take(progress);
  }

  #take(progress) {
    const before = this.progress;
    this.progress = progress;
    this.receivedAt = performance.now();
    this.#heard(progress.last_event_seconds_ago);
    this.#head(progress);
    this.#phases(progress);
    this.packs.update(progress.nodes, progress.in_progress);
    this.timeline.update(progress);
    this.log.names(progress.nodes);
    this.actions.update(progress);
    this.questions.update(progress.questions);
    this.#warnings(progress.warnings);
    this.#tick();
    if (this.panel === "plan" || this.panel === "instance") this.#about();
    if (!progress.in_progress) this.#end(before);
  }

  #heard(secondsAgo) {
    this.silent = secondsAgo;
    this.heardAt = performance.now();
  }

  #head(progress) {
    const { refs } = this;
    const tone = toneOf(progress);
    setText(refs.state, stateWord(progress));
    setAttribute(refs.state, "data-tone", tone);
    setText(refs.percent, `${Math.floor(progress.percent)} %`);
    if (progress.in_progress) this.#says("live", progress.message, nowOf(progress));
    setPart(refs.bar, progress.percent / 100);
    setAttribute(refs.bar, "data-tone", tone === "live" ? null : tone);
    setAttribute(refs.bar, "aria-valuenow", Math.floor(progress.percent));
    const { packages_done: done, packages_total: total } = progress;
    this.#value("packages", total ? `${done ?? 0} of ${total}${progress.packages_bytes_total ? ` · ${bytes(progress.packages_bytes_done)} of ${bytes(progress.packages_bytes_total)}` : ""}` : "");
    const speed = progress.nodes.reduce((sum, node) => sum + (node.state === "cloning" ? node.bytes_per_second ?? 0 : 0), 0);
    this.#value("rate", progress.in_progress ? rate(speed) : "");
    if (this.tab) showInTab(progress.percent, tone, this.name ?? "");
    announce(progress.completed ? endingOf(progress) : progress.message);
  }

  /** In one place from the first moment to the end, so that nothing below it moves. */
  #says(tone, text, more) {
    const { summary, said, saidMore } = this.refs;
    setAttribute(summary, "data-tone", tone);
    setText(said, text);
    setText(saidMore, more);
  }

  #value(name, text) {
    setText(this.refs[name], text);
    setHidden(this.refs[`${name}Box`], !text);
  }

  #phases(progress) {
    patchList(this.refs.phases, progress.phases, {
      key: (phase) => phase.name,
      make: (phase) => h("li", {}, h("i"), h("span", {}, phase.name)),
      update: (line, phase) => {
        setAttribute(line, "data-status", phase.status);
        const said = [phase.status, phase.detail, phase.seconds === null ? "" : span(phase.seconds)].filter(Boolean).join(" · ");
        setAttribute(line, "title", said);
        setAttribute(line, "aria-current", phase.status === "running" ? "step" : null);
      },
    });
  }

  #warnings(warnings) {
    patchList(this.refs.warnings, warnings, {
      key: (warning) => `${warning.code} ${warning.message}`,
      make: (warning) => h("div", { class: "note", "data-tone": "warn" }, h("strong", {}, warning.message), warning.hint),
      update: () => {},
    });
  }

  /** Once a second: the times that pass between two answers. */
  #tick() {
    const { progress } = this;
    if (!progress) return;
    const since = (performance.now() - this.receivedAt) / 1000;
    setText(this.refs.elapsed, clock(progress.elapsed_seconds + (progress.in_progress ? since : 0)));
    const eta = progress.eta_seconds;
    this.#value("eta", progress.in_progress && eta !== null && eta !== undefined ? span(Math.max(1, eta - (progress.message_code === "waiting_for_answer" ? 0 : since))) : "");
    const silent = this.silent === null || this.silent === undefined ? null : this.silent + (performance.now() - this.heardAt) / 1000;
    this.#value("heard", progress.in_progress && silent !== null ? `${span(silent)} ago` : "");
    const tone = silent > SILENT.bad ? "bad" : silent > SILENT.warn ? "warn" : null;
    setAttribute(this.refs.heardBox, "data-tone", tone);
  }

  #end(before) {
    this.live.stop();
    const { progress } = this;
    const problem = progress.error;
    this.#says(toneOf(progress), problem && progress.state !== "completed" ? problem.message : endingOf(progress), problem ? problem.hint : progress.message);
    if (before?.in_progress) notifyEnd(this.taskId, "Nodeferry", endingOf(progress));
    if (this.panel === "log") this.log.look();
    if (!this.over) this.ended(progress);
    this.over = true;
  }

  async #show(panel) {
    this.panel = panel;
    if (panel === "log") await this.log.look();
    if (panel === "plan" || panel === "instance") await this.#about();
  }

  /** What does not change every two seconds: the request, the plan, the machine. */
  async #about() {
    try {
      this.#tell(await api(`/tasks/${this.taskId}`));
    } catch (error) {
      showTrouble(error);
    }
  }

  #tell(task) {
    this.name = task.instance;
    setText(this.refs.title, task.instance);
    setText(this.refs.where, [task.probe.ui_home ?? task.ui_home, task.ssh_connection].filter(Boolean).join(" · "));
    if (this.tab && this.progress) showInTab(this.progress.percent, toneOf(this.progress), this.name);
    drawPlan(this.refs.plan, task.plan);
    drawFacts(this.refs.facts, task);
  }
}

const YES = { true: "yes", false: "no" };

function drawFacts(place, { probe, created_at: created, retry_of: retryOf, task_id: taskId }) {
  const gpu = (probe.gpu ?? []).map((card) => `${card.name}, ${card.memory_mib} MiB`).join("; ");
  const facts = {
    "ComfyUI": probe.ui_home, "ComfyUI commit": probe.comfyui_commit?.slice(0, 10), "ComfyUI runs": YES[probe.comfyui_running],
    "Interpreter": probe.interpreter, "Python": probe.python, "GPU": gpu || null, "Driver": probe.driver,
    "Disk free": bytes(probe.disk_free_bytes), "Processors": probe.processors, "System": probe.system,
    "Started": new Date(created).toLocaleString(), "Task": taskId, "Retry of": retryOf,
  };
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "");
  place.replaceChildren(...known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
