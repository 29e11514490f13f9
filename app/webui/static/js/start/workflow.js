/** What a workflow needs besides the list of its packs: open questions, why each pack is there, its models, and whether
 *  ComfyUI is new enough. The service has found it out; here it is shown, and questions are answered.
 *
 *  Contract: `new WorkflowView(asked)`; `asked(more)` is called with the manifest's `answers` or `needed` when one has
 *  changed. `show(found, answers)`: `found` is `workflow` of POST /manifests/check, or null. `remember`: whether the
 *  answers are to be kept for other workflows. */

import { api } from "../core/api.js";
import { h, patchList, setHidden, setText } from "../core/dom.js";
import { when } from "../core/format.js";
import { word } from "../core/words.js";
import { fillCore } from "./workflow-core.js";
import { fillModels } from "./workflow-models.js";
import { answerIn, asking, grouped } from "./workflow-questions.js";

const MOST_CLASSES = 6;

export class WorkflowView {
  constructor(asked) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { asked, box: get("workflow"), old: get("workflow-old"), needs: get("workflow-needs"), unreadable: get("workflow-unreadable"), form: get("workflow-questions"), keep: get("workflow-keep"), why: get("workflow-why"), count: get("workflow-why-count"), needed: get("workflow-needed"), models: get("workflow-models"), rows: get("workflow-names"), modelsCount: get("workflow-models-count"), scope: get("workflow-scope"), more: get("workflow-more"), skipped: get("workflow-skipped"), known: new Map(), answers: {}, found: null });
    this.form.addEventListener("change", (event) => this.#changed(event.target));
    this.scope.addEventListener("change", (event) => this.asked({ needed: event.target.value }));
  }

  get remember() {
    return !this.keep.hidden && this.keep.querySelector("input").checked;
  }

  show(found, answers) {
    setHidden(this.box, !found);
    if (answers !== this.answers) this.known.clear(); // another file
    Object.assign(this, { answers, found });
    if (!found) return;
    for (const question of found.questions) this.known.set(question.question_id, question);
    const groups = grouped([...this.known.values()]);
    patchList(this.form, groups, { key: (group) => group.key, make: asking, update: () => {} });
    setHidden(this.keep, !groups.length);
    fillCore(this.old, this.needs, found.core);
    setHidden(this.unreadable, !found.unreadable);
    setText(this.unreadable, word("workflow.unreadable", { n: found.unreadable ?? 0 }));
    this.#scope(found);
    this.#skipped(found.skipped);
    const packs = found.evidence.filter(({ runs }) => runs || found.needed === "open");
    setHidden(this.why, !packs.length);
    setText(this.count, word("workflow.why", { n: packs.length }));
    const files = found.files.map(({ name }) => name).filter(Boolean);
    this.needed.replaceChildren(...packs.map((each) => because(each, files.length > 1 ? files : [])));
    fillModels(this, found);
  }

  #scope({ only_opens: more, needed }) {
    setHidden(this.scope, !more);
    setText(this.more, word("workflow.scope_more", { n: more }));
    this.scope.querySelector(`[value="${needed}"]`).checked = true;
  }

  #skipped(skipped) {
    setHidden(this.skipped, !skipped.length);
    this.skipped.replaceChildren(...skipped.map(({ question_id: id, answered_at: at }) => h("p", {}, `${word("workflow.left_out", { name: id.replace(/^pack:/, ""), date: when(at) })} `, h("button", { type: "button", class: "small", onclick: () => this.#forget(id) }, word("workflow.ask_again")))));
  }

  async #forget(id) {
    await api("/workflow-answers", { method: "DELETE", body: { question_id: id } });
    this.asked({});
  }

  /** A choice is an answer at once, an address when it is left. */
  #changed(field) {
    const set = field.closest("fieldset");
    const own = set.querySelector('[type="url"]');
    if (field === own) set.querySelector('[value=""]').checked = true;
    setHidden(own, set.querySelector("input:checked").value !== "");
    const answer = answerIn(set);
    if (!answer) return own.focus();
    for (const id of JSON.parse(set.dataset.questions)) this.answers[id] = answer;
    return this.asked({ answers: this.answers });
  }
}

/** One pack: what it is for, and how that is known. */
function because({ name, classes, evidence, runs, answered_at: day, files: numbers }, files) {
  const listed = classes.slice(0, MOST_CLASSES).join(", ") + (classes.length > MOST_CLASSES ? word("workflow.and_more", { n: classes.length - MOST_CLASSES }) : "");
  const why = [...evidence.map((each) => word(`workflow.evidence_${each}`, { date: day ? when(day) : "" })), runs ? null : word("workflow.only_opens"), files.length ? word("workflow.in_files", { names: numbers.map((number) => files[number]).join(", ") }) : null];
  return h("li", {}, h("b", { class: "wrap-anywhere" }, name), h("span", { class: "wrap-anywhere" }, listed), h("span", { class: "soft" }, why.filter(Boolean).join(" · ")));
}
