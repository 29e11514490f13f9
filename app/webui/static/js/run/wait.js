/** Where no rows are there yet: what the run waits for, and what a person can do about it. */

import { h, patchList, setHidden, setText } from "../core/dom.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { againAt } from "../lists/again.js";
import { commandLine, commandsIn } from "./commands.js";
import { nextTry } from "./head.js";

const TEXTS = {
  failed: ["run.wait_failed", "run.wait_failed_text"],
  lost: ["run.wait_failed", "run.wait_failed_text"],
  queued: ["run.wait_queued", "run.wait_queued_text"],
  connecting: ["run.wait_connecting", "run.wait_connecting_text"],
  waiting_for_machine: ["run.wait_machine", "run.wait_machine_text"],
};

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

export class Wait {
  constructor(place, actions) {
    Object.assign(this, { place, waiting: null });
    this.title = h("h2");
    this.why = h("p", { class: "wait-why" });
    this.text = h("p");
    this.commands = h("div");
    this.other = h("a", {}, word("run.wait_other"));
    this.next = h("p", { class: "soft number" });
    this.now = h("button", { type: "button", class: "btn primary", "data-writes": true, onclick: () => actions.do("try_now") }, word("run.do_try_now"));
    this.change = h("a", { class: "btn" });
    this.log = h("button", { type: "button", class: "btn", onclick: () => actions.do("log") }, word("run.log"));
    this.stop = h("button", { type: "button", class: "btn danger", "data-writes": true, onclick: () => actions.do("stop") }, word("run.do_stop"));
    place.replaceChildren(this.title, this.why, this.text, this.other, this.commands, this.next, h("div", { class: "row" }, this.now, this.change, this.log, this.stop));
  }

  /** `summary`: how the run stands; `progress`: of its task, or null. Answers whether there is something to say. */
  update(run, summary, progress) {
    const texts = TEXTS[summary.kind];
    const isSaid = Boolean(texts) && !progress?.nodes.length && !run.counts.total;
    this.waiting = progress ?? runningStep(run) ?? null;
    setHidden(this.place, !isSaid);
    if (!isSaid) return false;
    this.isLive = run.in_progress;
    const waits = summary.kind === "waiting_for_machine";
    const error = run.in_progress ? null : progress?.error ?? run.workflow?.error;
    setText(this.title, word(texts[0]));
    setText(this.text, error?.hint || word(texts[1]));
    this.#why(waits ? progress?.message ?? runningStep(run)?.message : error?.message, summary);
    setHidden(this.now, !(waits && this.waiting?.next_attempt_at));
    setHidden(this.change, run.in_progress && !waits);
    setHidden(this.log, run.in_progress || !progress);
    setHidden(this.stop, !run.in_progress);
    const other = summary.kind === "queued" ? UUID.exec(progress?.message)?.[0] : null;
    setHidden(this.other, !other);
    if (other) this.other.href = at(`/ui/run/${other}`);
    setText(this.change, word(run.in_progress ? "run.do_change" : "run.do_change_more"));
    this.change.href = againAt(run) + (error?.code.startsWith("ui_home") ? "#options" : "");
    patchList(this.commands, commandsIn(error?.hint), { key: (text) => text, make: commandLine, update: () => {} });
    this.tick();
    return true;
  }

  tick() {
    if (!this.place.hidden) setText(this.next, this.isLive && this.waiting ? nextTry(this.waiting) : "");
  }

  /** What the machine or the network said, where the head does not say it already. */
  #why(text, { sentence }) {
    setText(this.why, text && text !== sentence ? text : "");
    setHidden(this.why, !this.why.textContent);
  }
}

const runningStep = (run) => run.workflow?.steps.find((step) => step.status === "running");
