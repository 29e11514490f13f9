/** The head of the page: how the run stands in one sentence, its bar, its chapters, its times. It has the same height in every
 *  state, so that the rows below it stay where they are. */

import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { clock, span } from "../core/format.js";
import { icon, setIcon } from "../core/icons.js";
import { now, secondsSince } from "../core/since.js";
import { word } from "../core/words.js";

/** After so many seconds without a word from the machine the page says so. */
const SILENT_SECONDS = 10;
const WAITS = ["cut", "waiting_for_machine"];
const ICONS = { live: "working", good: "ready", warn: "problem", bad: "failed", idle: "info" };
const OWN_ICONS = { queued: "waiting", waiting_for_machine: "waiting", question: "question", stopped: "stopped", put_back: "back" };
const iconOf = (summary) => OWN_ICONS[summary?.kind] ?? ICONS[summary?.tone] ?? "waiting";

export class Head {
  /** `refs`: the places of the head; `choose(taskId)` shows a chapter. */
  constructor(refs, choose) {
    Object.assign(this, { refs, progress: null, receivedAt: now() });
    refs.chapters.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      choose(link.dataset.task);
    });
  }

  /** `summary`: of what is shown. `detail`: what else is to be said of it; null: what the run waits for stands below. */
  say(summary, detail) {
    const { refs } = this;
    this.isSaid = detail === null;
    setIcon(refs.mark, iconOf(summary));
    setText(refs.sentence, summary.sentence);
    setAttribute(refs.sentence, "title", summary.sentence);
    setAttribute(refs.head, "data-tone", summary.tone);
    setAttribute(refs.head, "data-kind", summary.kind);
    setText(refs.detail, detail ?? "");
    setAttribute(refs.detail, "title", detail || null);
    this.kind = summary.kind;
  }

  machine({ name, ssh_connection: address }) {
    setText(this.refs.machine, name);
    setAttribute(this.refs.machine, "title", address);
  }

  /** The workflow files that the run was started with. `proof`: of the run, null without any. */
  files(proof) {
    const names = proof?.names ?? [];
    setHidden(this.refs.files, !names.length);
    setText(this.refs.files, names.join(", "));
    setAttribute(this.refs.files, "title", names.length ? word("proof.of", { names: names.join(", ") }) : null);
  }

  /** `shown`: the task whose rows stand below. */
  chapters(chapters, shown, address) {
    const now = shown ?? chapters.findLast((chapter) => chapter.in_progress)?.task_id ?? chapters.at(-1)?.task_id;
    setHidden(this.refs.chapters, chapters.length < 2);
    patchList(this.refs.chapters, chapters.map((chapter, index) => ({ ...chapter, index })), {
      key: (chapter) => `${chapter.index} ${chapter.name} ${chapter.task_id}`,
      make: (chapter) => h("li", {}, chapter.task_id ? h("a", { href: address.of(chapter.task_id), "data-task": chapter.task_id }, step(chapter)) : h("span", {}, step(chapter))),
      update: (item, chapter) => patchStep(item, chapter, now, shown),
    });
  }

  /** `receivedAt`: when it came. */
  progressed(progress, receivedAt) {
    Object.assign(this, { progress, receivedAt });
    this.tick();
  }

  /** Once a second: what passes between two answers. */
  tick() {
    const { progress, refs } = this;
    if (!progress) return;
    const since = secondsSince(this.receivedAt);
    setText(refs.elapsed, clock(progress.elapsed_seconds + (progress.in_progress ? since : 0)));
    const said = progress.in_progress && !this.isSaid ? this.#now(progress, since) : [null, ""];
    setAttribute(refs.left, "data-tone", said[0]);
    setText(refs.left, said[1]);
  }

  #now(progress, since) {
    if (WAITS.includes(this.kind)) return ["warn", nextTry(progress)];
    const silent = progress.last_event_seconds_ago === null ? 0 : progress.last_event_seconds_ago + since;
    if (silent > SILENT_SECONDS && !progress.questions.length) return ["warn", word("run.no_data", { time: span(silent) })];
    const slowest = Math.max(0, ...progress.nodes.map((node) => node.eta_seconds ?? 0));
    const eta = progress.eta_seconds === null ? null : Math.max(progress.eta_seconds, slowest) - since;
    return [null, eta === null ? "" : word("run.left_about", { time: span(Math.max(1, eta)) })];
  }
}

/** When a machine that is not reached is tried again. */
export function nextTry({ next_attempt_at: due, attempt }) {
  if (!due) return "";
  const seconds = Math.ceil((new Date(due) - Date.now()) / 1000);
  const key = seconds <= 0 ? "run.trying" : attempt ? "run.next_try_number" : "run.next_try";
  return word(key, { time: span(seconds), number: attempt });
}

const step = (chapter) => [icon(iconOf(chapter.summary)), h("span", { class: "step-label" }, chapter.label), h("span", { class: "step-time" })];

function patchStep(item, chapter, now, shown) {
  setAttribute(item, "data-tone", chapter.summary?.tone ?? "idle");
  setIcon(item.querySelector(".icon"), iconOf(chapter.summary));
  setAttribute(item.firstElementChild, "aria-current", chapter.task_id && chapter.task_id === now ? "step" : null);
  setAttribute(item, "data-alone", chapter.task_id && chapter.task_id === shown ? "" : null);
  setAttribute(item.firstElementChild, "title", chapter.summary?.sentence ?? null);
  setText(item.querySelector(".step-label"), chapter.label);
  const seconds = chapter.in_progress || chapter.seconds === null || chapter.seconds === undefined ? "" : span(chapter.seconds);
  setText(item.querySelector(".step-time"), seconds);
}
