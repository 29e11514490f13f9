/** A question that the run waits with: nothing else is on the page then. What it is about, each answer as a button with what it
 *  does, and what happens without one. */

import { api } from "../core/api.js";
import { announce, h, readable, setHidden, setText } from "../core/dom.js";
import { setOff } from "../core/focus.js";
import { span, when } from "../core/format.js";
import { WORDS } from "../core/word-table.js";
import { word } from "../core/words.js";

export class QuestionView {
  /** `look()` is called after an answer; `stop()` asks to end the run; `plan(place, taskId)` draws package changes. */
  constructor(place, { look, stop, plan }) {
    Object.assign(this, { place, look, stop, plan, key: "", question: null });
  }

  /** `question`: the oldest that stands, with `workflow_id` or `task_id`; null for none. */
  update(question, number, machine) {
    this.question = question;
    setHidden(this.place, !question);
    const key = question ? `${question.id ?? ""} ${question.code} ${question.text}` : "";
    if (key !== this.key) {
      this.key = key;
      if (question) this.#draw(question, number, machine);
    }
    if (question) this.#patch(question);
  }

  tick() {
    if (this.question) this.#patch(this.question);
  }

  #draw(question, number, machine) {
    const [text] = question.text.split("\n\n", 1); // what follows is in the items too
    const title = h("h1", { id: "question-title", tabindex: "-1" }, question.title);
    const more = question.code.startsWith("host_key_") ? keyText(question, machine) : text;
    const which = [machine.name, number > 1 ? word("run.questions_left", { n: number }) : ""].filter(Boolean).join(" · ");
    this.said = h("p", { class: "field-error", role: "alert", hidden: true });
    this.until = h("p", { class: "soft number" });
    this.buttons = question.answers.map((answer) => this.#answer(question, answer));
    const stop = h("button", { type: "button", class: "btn danger", "data-writes": true, onclick: () => this.stop() }, word("run.do_stop"));
    this.place.replaceChildren(...[h("p", { class: "soft small" }, which), title, more ? h("p", {}, more) : null, h("p", {}, readable(question.hint)), ...this.#facts(question), h("ul", { class: "answers" }, this.buttons.map(({ item }) => item)), this.said, h("div", { class: "row between" }, this.until, stop)].filter(Boolean));
    announce(text);
    title.focus();
  }

  #answer(question, { answer, label }) {
    const does = WORDS[`run.answer_${question.code}_${answer}`];
    const button = h("button", { type: "button", class: "btn", "data-writes": true, "data-answer": answer, onclick: () => this.#reply(answer) }, label);
    return { answer, button, item: h("li", {}, button, does ? h("p", { class: "soft small" }, does) : null) };
  }

  /** What it is about: what would run, packs, package changes, the keys of the machine. */
  #facts(question) {
    const { code, facts } = question;
    const found = [];
    if (code.startsWith("host_key_")) found.push(hostKeys(question));
    if (facts.plan && question.plan_task_id) {
      const place = h("div", { class: "question-plan", tabindex: "0", role: "region", "aria-label": word("run.tab_changes") });
      this.plan(place, question.plan_task_id);
      found.push(place);
    }
    const items = Array.isArray(facts.items) ? facts.items.filter((each) => each?.text) : [];
    found.push(...items.map(({ pack, what, text, is_cut: cut }) => h("details", {}, h("summary", {}, `${pack}: ${what}`), h("pre", {}, `${text}${cut ? " …" : ""}`))));
    const names = [facts.packs, facts.packages, facts.paths].find(Array.isArray);
    if (names && !items.length) found.push(h("p", { class: "mono wrap-anywhere" }, names.join(", ")));
    return found;
  }

  #patch(question) {
    const answered = question.answer ?? null;
    for (const { button } of this.buttons) setOff(button, answered !== null);
    const labelOf = (wanted) => question.answers.find(({ answer }) => answer === wanted)?.label ?? wanted;
    if (answered !== null) return setText(this.until, word("run.answered", { answer: labelOf(answered) }));
    const seconds = question.expires_at ? (new Date(question.expires_at) - Date.now()) / 1000 : null;
    setText(this.until, seconds === null ? word("run.waits_for_you") : word("run.answers_itself", { time: span(Math.max(0, seconds)), answer: labelOf(question.default) }));
  }

  async #reply(answer) {
    const { question } = this;
    if ((question.answer ?? null) !== null) return;
    setHidden(this.said, true);
    try {
      if (question.id) await api(`/tasks/${question.task_id}/answer`, { body: { id: question.id, answer } });
      else await api("/workflow/resume", { body: { workflow_id: question.workflow_id, answer }, timeout: 60000 });
    } catch (error) {
      setText(this.said, [error.message, error.hint].filter(Boolean).join(" "));
      setHidden(this.said, false);
    }
    this.look();
  }
}

/** Whose key it is that has changed: the machine's, or that of a jump host on the way to it. */
function keyText({ code, facts: { is_jump_host: isJump, host, port } }, machine) {
  const names = { host: `${host}:${port}`, machine: machine.name };
  if (code === "host_key_new") return word("run.key_new", names);
  return isJump ? word("run.key_changed_jump", names) : word("run.key_changed", names);
}

/** The keys, each older one with its date: what a person compares with the provider's page. */
function hostKeys({ code, facts: { known = [], shown_sha256: shown } }) {
  const row = (name, sha256) => [h("dt", {}, name), h("dd", { class: "mono wrap-anywhere" }, sha256)];
  const before = known.flatMap((key) => row(key.added_at ? word("run.key_before_dated", { date: when(key.added_at) }) : word("run.key_before"), key.sha256));
  return h("dl", { class: "keys" }, before.length || code === "host_key_new" ? before : row(word("run.key_before"), word("run.key_unknown")), row(word("run.key_now"), shown));
}
