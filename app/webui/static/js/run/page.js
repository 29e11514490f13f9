/** The page of one run: puts what the service says into its parts, and what the person chooses into the address. */

import { api } from "../core/api.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { ownRun } from "../core/bar.js";
import { announce, setAttribute } from "../core/dom.js";
import { keepFocus } from "../core/focus.js";
import { keys } from "../core/keys.js";
import { showMissing } from "../core/missing.js";
import { notifyBrowser } from "../core/notify.js";
import { Poller } from "../core/poller.js";
import { showInTab } from "../core/signals.js";
import { Actions } from "./actions.js";
import { Address } from "./address.js";
import { Bar } from "./bar.js";
import { Head } from "./head.js";
import { Needs } from "./needs.js";
import { Pace } from "./pace.js";
import { Panels } from "./panels.js";
import { QuestionView } from "./question.js";
import { Ready } from "./ready.js";
import { Rows } from "./rows.js";
import { Silence } from "./silence.js";
import { Tasks } from "./tasks.js";
import { Wait } from "./wait.js";

const RUN_EVERY = 2000;
const WITHOUT_RETRY = ["planned", "put_back"];
const BESIDE_TASK = 6000; // a task that goes on says itself what is new, and asks for the run where that matters
const WITHOUT_PACKS = ["restart", "check", "connect", "question"];

export class RunPage {
  /** `initial`: GET /runs/ID as the page carried it, with tasks of it as `task` and `rows`; or null. */
  constructor(id, refs, initial) {
    Object.assign(this, { id, refs, run: null, shown: null, rows: null, kinds: new Map(), pending: undefined });
    this.carried = [initial?.task, initial?.rows];
    this.silence = new Silence();
    this.address = new Address(() => this.#moved());
    this.pace = new Pace(() => this.#second());
    this.tasks = new Tasks({ news: (taskId, changed) => this.#news(taskId, changed), lost: showTrouble, back: clearTrouble });
    this.#parts(refs);
    this.poller = new Poller((signal) => this.#ask(signal), { interval: RUN_EVERY, failed: (error) => this.#failed(error), answered: clearTrouble });
    if (initial) this.#take(initial);
  }

  #parts(refs) {
    const pick = (name) => this.pick(name);
    this.head = new Head(refs, (taskId) => this.show(taskId));
    this.bar = new Bar(refs.bar, () => this.#filter());
    this.actions = new Actions(refs, { run: () => this.run, began: () => this.#began(), look: () => this.look(), show: (taskId) => this.show(taskId), openLog: () => this.panels.openRun() });
    this.list = new Rows(refs.rows, refs.noRows, pick);
    this.needs = new Needs(refs, { actions: this.actions, pick, taskOf: (name) => this.tasks.of(name) });
    this.ready = new Ready(refs.ready, () => this.look());
    this.wait = new Wait(refs.wait, this.actions);
    this.panels = new Panels(refs, { address: this.address, list: this.list, tasks: this.tasks, needs: this.needs });
    this.question = new QuestionView(refs.question, { look: () => this.look(), stop: () => this.actions.do("stop"), plan: (place, taskId) => this.panels.plan(place, taskId) });
    refs.rows.addEventListener("keydown", (event) => event.key === "Escape" && this.panels.close());
    refs.skip.addEventListener("click", (event) => this.#toRows(event));
    refs.search.addEventListener("input", () => this.#filter());
    refs.search.addEventListener("keydown", (event) => this.#searchKey(event));
    keys.register("j", "run.key_next", () => this.#step(1));
    keys.register("k", "run.key_previous", () => this.#step(-1));
  }

  start() {
    this.poller.start();
    this.pace.start();
    return this;
  }

  /** Asks for what is true now. */
  look() {
    if (this.poller.stopped) this.poller.start();
    else this.poller.now();
    this.tasks.look();
  }

  /** Shows one chapter alone; null: the whole run. */
  show(taskId) {
    this.address.write({ chapter: taskId, pack: null, line: null }, { push: true });
    this.#moved();
  }

  /** Opens the log of a pack. */
  pick(name) {
    this.address.write({ pack: name, line: null, tab: null });
    this.panels.open(this.rows);
  }

  async #ask(signal) {
    this.#take(await api(`/runs/${this.id}`, { signal, tagged: true }));
    this.poller.interval = this.tasks.progress(this.run.current)?.in_progress ? BESIDE_TASK : RUN_EVERY;
    return this.ready.update(this.run) || this.run.in_progress;
  }

  #failed(error) {
    if (error.status !== 404) return showTrouble(error);
    this.poller.stop();
    showMissing(error);
  }

  #take(run) {
    const before = this.run;
    if (run === before) return;
    this.run = run;
    this.pending ??= new Set();
    ownRun(run.in_progress ? run : null);
    this.head.machine(run.machine);
    this.head.files(run.proof);
    this.#follow();
    if (!before || keyOf(before) !== keyOf(run)) this.#draw();
    if (before && (before.summary.kind !== run.summary.kind || before.current !== run.current)) this.#changed(run);
  }

  /** For who looks elsewhere: it is done, or waits for an answer. */
  #changed(run) {
    announce(run.summary.sentence);
    if (run.in_progress && run.summary.kind !== "question") return;
    notifyBrowser(run.machine.name, run.summary.sentence, { tag: `${this.id} ${run.summary.kind} ${run.current}` });
  }

  /** A retry, restart or roll back has begun: the page goes on to it. */
  #began() {
    this.address.write({ chapter: null, pack: null, line: null }, { push: true });
    this.panels.close();
    this.#moved();
    this.look();
  }

  #moved() {
    if (!this.run) return;
    this.#follow();
    this.#draw(null);
    this.panels.moved(this.rows);
  }

  #follow() {
    const { chapters, current } = this.run;
    const asked = this.address.read().chapter;
    const chosen = chapters.find((chapter) => chapter.task_id && chapter.task_id === asked);
    this.alone = Boolean(chosen);
    this.shown = chosen ? asked : current;
    const rows = chosen && !WITHOUT_PACKS.includes(chosen.name) ? [asked] : this.#rowTasks();
    this.tasks.follow([...new Set([...rows, this.shown])].filter(Boolean), rows, this.carried);
  }

  /** The tasks whose packs make up the run: a plan counts as long as nothing else has any. */
  #rowTasks() {
    const having = this.run.chapters.filter((chapter) => chapter.task_id && !WITHOUT_PACKS.includes(chapter.name));
    const done = having.filter((chapter) => chapter.name !== "plan");
    return (done.length ? done : having).map((chapter) => chapter.task_id);
  }

  #news(taskId, changed) {
    const progress = this.tasks.progress(taskId);
    if (progress.in_progress) this.silence.heard(progress);
    const kind = `${progress.state} ${progress.summary?.kind} ${progress.message_code}`;
    const before = this.kinds.get(taskId);
    this.kinds.set(taskId, kind);
    if (before && before !== kind) this.poller.stopped ? this.poller.start() : this.poller.now();
    this.pending = new Set([...(this.pending ?? []), ...changed]);
    if (this.run && (before !== kind || this.list.differ(progress, changed))) this.pace.soon();
  }

  /** `changed`: the names of the packs whose rows may differ; null for all. */
  #draw(changed = this.pending) {
    keepFocus(() => this.#patch(changed), () => this.refs.sentence);
  }

  #patch(changed) {
    const { run, shown } = this;
    this.pending = undefined;
    const own = this.tasks.progress(shown);
    const rows = this.tasks.together(run.counts);
    const isOther = rows?.task_id !== this.rows?.task_id;
    this.rows = rows ?? this.rows;
    if (rows && (isOther || changed === null || changed?.size)) this.list.update(rows, isOther ? null : changed, this.silence.of);
    const summary = this.#summary(own);
    const question = this.#asks(own);
    setAttribute(this.refs.run, "data-asks", question ? "" : null);
    this.question.update(question, own?.questions.length ?? 0, run.machine);
    const waits = this.wait.update(run, summary, own);
    this.head.say(summary, waits ? null : this.#detail(summary, own));
    this.head.chapters(run.chapters, this.alone ? shown : null, this.address);
    this.head.progressed(own ?? rows, this.tasks.arrivedAt(own ?? rows));
    this.bar.update(rows?.counts ?? run.counts, run.in_progress);
    this.actions.update(this.#actions(summary, own, waits));
    this.list.none(waits);
    if (rows) {
      this.needs.update(rows, !WITHOUT_RETRY.includes(summary.kind));
      this.panels.update(rows, this.tasks.progress(this.alone ? this.tasks.ids.at(-1) : run.rows_of) ?? rows);
    }
    this.#inTab(question, summary);
  }

  #inTab(question, { tone }) {
    const { run } = this;
    const shownTone = question ? "ask" : run.in_progress || tone === "idle" ? (run.in_progress ? "live" : "idle") : run.summary.tone;
    showInTab(run.percent ?? 0, shownTone, run.machine.name);
  }

  #summary(own) {
    const { current, rows_of: withRows } = this.run;
    if (this.alone && (this.shown !== current || this.shown === withRows)) return own?.summary ?? this.run.chapters.find((chapter) => chapter.task_id === this.shown)?.summary ?? this.run.summary;
    return (own?.in_progress && this.run.summary.kind !== "question" && own.summary) || this.run.summary;
  }

  #detail(summary, own) {
    if (own && !own.in_progress) return ended(own, summary.sentence);
    return !own || own.questions.length || own.message === summary.sentence ? "" : own.message;
  }

  /** The oldest question that nobody has answered; of the chapter that goes on alone. */
  #asks(own) {
    const { question, workflow, current } = this.run;
    if (this.shown !== current) return null;
    const asked = own?.questions.find((each) => each.answer === null) ?? own?.questions[0];
    if (asked) return { ...asked, task_id: current };
    if (!question || question.id) return null;
    return { workflow_id: this.id, plan_task_id: workflow?.steps.findLast((step) => step.plan_task_id)?.plan_task_id, ...question };
  }

  #actions(summary, own, waits) {
    const { actions, current } = this.run;
    if (this.alone && this.shown !== current) return [{ name: "now", primary: true }];
    const all = this.alone && this.run.chapters.length > 1 ? [...actions, { name: "now" }] : actions;
    if (!["cut", "waiting_for_machine"].includes(summary.kind) || !own?.next_attempt_at) return all;
    return [{ name: "try_now", primary: !waits, task_id: current }, ...all.map((each) => ({ ...each, primary: false }))];
  }

  #filter() {
    this.list.filter(this.bar.segment, this.refs.search.value);
    this.panels.search(this.refs.search.value);
  }

  #searchKey(event) {
    if (event.key === "Escape") {
      this.refs.search.value = "";
      this.#filter();
    } else if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    event.preventDefault();
    this.list.focus();
  }

  #toRows(event) {
    event.preventDefault();
    if (!this.list.focus()) this.refs.rows.focus();
  }

  #step(by) {
    const { pack } = this.address.read();
    const name = this.list.next(pack, by);
    if (name && pack && name !== pack) this.pick(name);
    this.list.focus(name);
  }

  /** Each second, and when there is news that people wait for. */
  #second() {
    if (this.pending) this.#draw();
    else this.head.tick();
    this.question.tick();
    this.wait.tick();
    if (this.rows?.in_progress) this.list.tick(this.silence.of);
  }
}

/** What an end has to say besides its sentence: why, what helps, and which packs a restarted ComfyUI lacks. */
function ended({ error, warnings }, sentence) {
  const missing = warnings.find(({ code }) => code === "not_loaded");
  const { message = "", hint = "" } = error ?? missing ?? {};
  return [message.startsWith(sentence) ? message.slice(sentence.length).replace(/^[.:]\s*/, "") : message, hint].filter(Boolean).join(" ");
}

/** What of a run is shown at once when it is another. */
const keyOf = ({ summary, current, rows_of: rows, in_progress: live, question, actions, chapters, workflow }) =>
  JSON.stringify([summary.kind, current, rows, live, question, actions, chapters.map((chapter) => [chapter.task_id, chapter.in_progress]), workflow?.steps.map((step) => step.next_attempt_at)]);
