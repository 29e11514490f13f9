/** Where no rows are there yet: what the run waits for, and what a person can do about it. */

import { h, setHidden, setText } from "../core/dom.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { nextTry } from "./head.js";

const TEXTS = {
  queued: ["run.wait_queued", "run.wait_queued_text"],
  connecting: ["run.wait_connecting", "run.wait_connecting_text"],
  waiting_for_machine: ["run.wait_machine", "run.wait_machine_text"],
};

export class Wait {
  constructor(place, actions) {
    Object.assign(this, { place, kind: null });
    this.title = h("h2");
    this.why = h("p", { class: "wait-why" });
    this.text = h("p");
    this.next = h("p", { class: "soft number" });
    this.now = h("button", { type: "button", class: "btn primary", "data-writes": true, onclick: () => actions.do("try_now") }, word("run.do_try_now"));
    this.change = h("a", { class: "btn" }, word("run.do_change"));
    this.stop = h("button", { type: "button", class: "btn danger", "data-writes": true, onclick: () => actions.do("stop") }, word("run.do_stop"));
    place.replaceChildren(this.title, this.why, this.text, this.next, h("div", { class: "row" }, this.now, this.change, this.stop));
  }

  /** `summary`: how the run stands; `progress`: of its task, or null; `why`: what the machine's answer was. */
  update(run, summary, progress) {
    const texts = TEXTS[summary.kind];
    this.progress = progress;
    const shown = Boolean(texts) && !progress?.nodes.length && run.in_progress;
    setHidden(this.place, !shown);
    if (!shown) return;
    setText(this.title, word(texts[0]));
    setText(this.text, word(texts[1]));
    const waits = summary.kind === "waiting_for_machine";
    const said = waits ? progress?.message ?? runningStep(run)?.message ?? "" : "";
    setText(this.why, said);
    setHidden(this.why, !said);
    setHidden(this.now, !(waits && progress?.next_attempt_at));
    setHidden(this.change, !waits);
    this.change.href = at(`/?ssh=${encodeURIComponent(run.machine.ssh_connection)}&again=${run.run_id}`);
    this.tick();
  }

  tick() {
    if (!this.place.hidden) setText(this.next, this.progress ? nextTry(this.progress) : "");
  }
}

const runningStep = (run) => run.workflow?.steps.find((step) => step.status === "running");
