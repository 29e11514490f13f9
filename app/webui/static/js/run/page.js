/** The page of one run: puts what the service says into its parts, and what the person chooses into the address. */

import { ownRun } from "../core/bar.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { announce, setAttribute, setHidden } from "../core/dom.js";
import { notifyBrowser } from "../core/notify.js";
import { Poller } from "../core/poller.js";
import { showInTab } from "../core/signals.js";
import { word } from "../core/words.js";
import { Actions } from "./actions.js";
import { Address } from "./address.js";
import { Bar } from "./bar.js";
import { loadRun } from "./fallback.js";
import { LiveProgress } from "../core/live.js";
import { Head } from "./head.js";
import { Needs } from "./needs.js";
import { Panels } from "./panels.js";
import { QuestionView } from "./question.js";
import { Rows } from "./rows.js";
import { Silence } from "./silence.js";
import { Wait } from "./wait.js";

const RUN_EVERY = 3000;

export class RunPage {
  /** `initial`: GET /runs/ID as the page carried it, with the GET /tasks/ID of what is shown as `task`; or null. */
  constructor(id, refs, initial) {
    Object.assign(this, { id, refs, run: null, shown: null, rowsOf: null, progress: null, lives: new Map(), carried: initial?.task ?? null });
    this.silence = new Silence();
    this.address = new Address(() => this.#moved());
    this.head = new Head(refs, (taskId) => this.show(taskId));
    this.bar = new Bar(refs.bar, (segment) => this.#filter(segment));
    this.actions = new Actions(refs, { run: () => this.run, taskId: () => this.rowsOf ?? this.shown ?? this.id, began: (taskId) => this.#began(taskId), look: () => this.look(), show: (taskId) => this.show(taskId) });
    this.rows = new Rows(refs.rows, refs.noRows, (name) => this.pick(name));
    this.needs = new Needs(refs, { actions: this.actions, pick: (name) => this.pick(name) });
    this.wait = new Wait(refs.wait, this.actions);
    this.panels = new Panels(refs, { address: this.address, rows: this.rows, pick: (name) => this.pick(name) });
    this.question = new QuestionView(refs.question, { look: () => this.look(), stop: () => this.actions.do("stop"), plan: (place, plan) => this.panels.plan(place, plan) });
    this.poller = new Poller((signal) => this.#ask(signal), { interval: RUN_EVERY, failed: showTrouble, answered: clearTrouble });
    refs.search.addEventListener("input", () => this.#filter(this.bar.segment));
    refs.search.addEventListener("keydown", (event) => this.#searchKey(event));
    if (initial) this.#take(initial);
  }

  start() {
    this.poller.start();
    this.clock = setInterval(() => this.#tick(), 1000);
    return this;
  }

  /** Asks for what is true now. */
  look() {
    if (this.poller.stopped) this.poller.start();
    else this.poller.now();
    for (const live of this.lives.values()) live.now();
  }

  /** Shows a chapter; null: what goes on, or happened last. */
  show(taskId) {
    this.address.write({ chapter: taskId === this.run?.current ? null : taskId, pack: null, line: null }, { push: true });
    this.#moved();
  }

  /** Opens the log of a pack; null closes it. */
  pick(name) {
    this.address.write({ pack: name, line: null });
    this.rows.mark(name);
    this.panels.log(name, this.progress);
  }

  async #ask(signal) {
    this.#take(await loadRun(this.id, signal));
    return this.run.in_progress;
  }

  #take(run) {
    const before = this.run;
    this.run = run;
    ownRun(run.in_progress ? run : null);
    this.head.machine(run.machine);
    this.#follow();
    this.#draw();
    if (before && before.summary.kind !== run.summary.kind) this.#changed(run);
  }

  /** What a person who looks elsewhere wants to know: it is done, or waits for an answer. */
  #changed(run) {
    announce(run.summary.sentence);
    if (!run.in_progress || run.question || run.summary.kind === "question") notifyBrowser(run.machine.name, run.summary.sentence, { tag: `${this.id} ${run.summary.kind} ${run.current}` });
  }

  /** A retry, restart or roll back has begun: the page goes on to it. */
  #began(taskId) {
    this.address.write({ chapter: taskId, pack: null, line: null }, { push: true });
    this.panels.log(null, null);
    this.#moved();
    this.look();
  }

  #moved() {
    this.rows.mark(this.address.read().pack);
    this.#follow();
    this.#draw();
    this.panels.moved(this.progress);
  }

  /** Listens to the task that is shown, and to the one whose rows stand below it. */
  #follow() {
    const asked = this.address.read().chapter;
    const known = asked && (asked === this.run?.current || !this.run || this.run.chapters.some((chapter) => chapter.task_id === asked));
    this.shown = known ? asked : this.run?.current ?? asked ?? null;
    this.rowsOf = this.#rowsOf(this.shown);
    const wanted = new Set([this.shown, this.rowsOf].filter(Boolean));
    for (const [taskId, live] of this.lives) {
      if (wanted.has(taskId)) continue;
      live.stop();
      this.lives.delete(taskId);
    }
    for (const taskId of wanted) if (!this.lives.has(taskId)) this.#listen(taskId);
    this.progress = this.lives.get(this.rowsOf)?.progress ?? null;
  }

  /** The task whose packs are listed: a restart has none of its own, and shows those that it is for. */
  #rowsOf(taskId) {
    const chapters = this.run?.chapters ?? [];
    const index = chapters.findIndex((chapter) => chapter.task_id === taskId);
    if (index < 0 || !["restart", "check"].includes(chapters[index].name)) return taskId;
    return chapters.slice(0, index).findLast((chapter) => chapter.task_id && chapter.counts?.total)?.task_id ?? taskId;
  }

  #listen(taskId) {
    const initial = this.carried?.task_id === taskId ? this.carried.progress : null;
    const live = new LiveProgress(taskId, { initial, news: (progress, changed) => this.#news(taskId, progress, changed), lost: showTrouble, back: clearTrouble });
    this.lives.set(taskId, live);
    live.start();
  }

  #news(taskId, progress, changed) {
    if (taskId === this.rowsOf) {
      const first = this.progress?.task_id !== taskId;
      this.progress = progress;
      this.silence.heard(progress);
      if (first || changed.size) this.rows.update(taskId, progress, first ? null : changed, this.silence.of);
    }
    const key = `${progress.state} ${progress.summary?.kind} ${progress.message_code}`;
    if (taskId === this.shown && this.lastKey !== undefined && key !== this.lastKey && this.run) this.poller.stopped ? this.poller.start() : this.poller.now();
    if (taskId === this.shown) this.lastKey = key;
    this.#draw();
  }

  #draw() {
    const { run } = this;
    if (!run) return;
    const following = this.shown === (run.current ?? this.shown);
    const own = this.lives.get(this.shown)?.progress ?? null;
    const summary = this.#summary(following, own);
    const question = following ? this.#asks(own) : null;
    setAttribute(this.refs.run, "data-asks", question ? "" : null);
    this.question.update(question, own?.questions.length ?? 0, run.machine);
    this.head.say(summary, this.#detail(summary, own));
    this.head.chapters(run.chapters, this.shown, this.address);
    if (own) this.head.progressed(own);
    this.bar.update(this.progress?.counts ?? run.counts);
    this.actions.update(following ? this.#actions(summary, own) : [{ name: "now", primary: true }]);
    this.wait.update(run, summary, own);
    if (this.progress) {
      this.needs.update(this.rowsOf, this.progress, (name) => run.actions.some((each) => each.name === name));
      this.panels.update(this.progress, this.address);
    }
    setHidden(this.refs.noRows, this.refs.noRows.hidden || !this.refs.wait.hidden);
    showInTab(run.percent ?? own?.percent ?? 0, question ? "ask" : run.summary.tone === "idle" || run.in_progress ? "live" : run.summary.tone, run.machine.name);
  }

  #summary(following, own) {
    if (!following) return own?.summary ?? this.run.chapters.find((chapter) => chapter.task_id === this.shown)?.summary ?? this.run.summary;
    return (own?.in_progress && this.run.in_progress && own.summary) || this.run.summary;
  }

  #detail(summary, own) {
    if (summary.kind === "failed") return own?.error?.hint ?? "";
    if (!own?.in_progress || own.questions.length) return "";
    return own.message === summary.sentence ? "" : own.message;
  }

  #asks(own) {
    const asked = own?.questions.find((each) => each.answer === null) ?? own?.questions[0];
    if (asked) return { ...asked, task_id: this.shown };
    const { question, workflow } = this.run;
    return question && !question.task_id ? { workflow_id: workflow?.workflow_id ?? this.id, ...question } : null;
  }

  #actions(summary, own) {
    const { actions } = this.run;
    if (!["cut", "waiting_for_machine"].includes(summary.kind) || !own?.next_attempt_at) return actions;
    return [{ name: "try_now", primary: true }, ...actions.map((each) => ({ ...each, primary: false }))];
  }

  #filter(segment) {
    this.rows.filter(segment, this.refs.search.value);
  }

  #searchKey(event) {
    if (event.key === "Escape") {
      this.refs.search.value = "";
      this.#filter(this.bar.segment);
    } else if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    event.preventDefault();
    this.rows.focus();
  }

  #tick() {
    this.head.tick();
    this.question.tick();
    this.wait.tick();
    if (this.progress?.in_progress) this.rows.tick(this.silence.of);
  }
}
