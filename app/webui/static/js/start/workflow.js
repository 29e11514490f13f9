/** What a workflow needs besides the list of its packs: open questions, why each pack is there, its models, and whether
 *  ComfyUI is new enough. The service has found it out; here it is shown, and questions are answered.
 *
 *  Contract: `new WorkflowView(answered)`; `answered(answers)` is called with all answers when one has changed.
 *  `show(found, answers)`: `found` is `workflow` of POST /manifests/check, or null. */

import { h, patchList, setHidden, setText } from "../core/dom.js";
import { word } from "../core/words.js";

const SKIP = "skip";
const MOST_CLASSES = 6;

export class WorkflowView {
  constructor(answered) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { answered, box: get("workflow"), old: get("workflow-old"), form: get("workflow-questions"), why: get("workflow-why"), needed: get("workflow-needed"), models: get("workflow-models"), names: get("workflow-names"), modelsCount: get("workflow-models-count"), asked: new Map(), answers: {} });
    this.form.addEventListener("change", (event) => this.#changed(event.target));
  }

  show(found, answers) {
    setHidden(this.box, !found);
    if (answers !== this.answers) this.asked.clear(); // another file
    this.answers = answers;
    if (!found) return;
    for (const question of found.questions) this.asked.set(question.question_id, question);
    patchList(this.form, [...this.asked.values()], { key: (question) => question.question_id, make: (question) => asking(question), update: () => {} });
    setHidden(this.old, !found.core.too_new.length);
    setText(this.old, word("workflow.too_old", { names: found.core.too_new.slice(0, 5).join(", ") }));
    setHidden(this.why, !found.evidence.length);
    this.needed.replaceChildren(...found.evidence.map(because));
    setHidden(this.models, !found.models.length);
    setText(this.modelsCount, word("workflow.models", { n: found.models.length }));
    this.names.replaceChildren(...found.models.map(modelRow));
  }

  /** A choice is an answer at once, an address when it is left. */
  #changed(field) {
    const question = field.closest("fieldset").dataset.question;
    const own = field.closest("fieldset").querySelector('[type="url"]');
    if (field === own) own.previousElementSibling.querySelector("input").checked = true;
    const chosen = field.closest("fieldset").querySelector("input:checked").value;
    const answer = chosen === "" ? own.value.trim() : chosen;
    if (!answer) return own.focus();
    this.answers[question] = answer;
    return this.answered(this.answers);
  }
}

/** One question: the candidates with what is known of them, another repository, or none. */
function asking(question) {
  const choice = (value, label, about) => h("label", { class: "choice" }, h("input", { type: "radio", name: question.question_id, value }), h("span", {}, label), about && h("span", { class: "soft small" }, about));
  const own = h("input", { type: "url", placeholder: "https://github.com/owner/name", "aria-label": word("workflow.other_repository"), autocomplete: "off", spellcheck: "false" });
  return h(
    "fieldset",
    { class: "note workflow-question", "data-tone": "warn", "data-question": question.question_id },
    h("legend", {}, word("workflow.which_pack", { name: question.class })),
    !question.candidates.length && h("p", { class: "soft small" }, question.registry_id ? word("workflow.only_an_id", { id: question.registry_id }) : word("workflow.nobody_known")),
    ...question.candidates.map((each) => choice(each.repo_url, nameOf(each), aboutOf(each))),
    choice("", word("workflow.other_repository")),
    own,
    choice(SKIP, word("workflow.skip")),
  );
}

const nameOf = ({ repo_url: url }) => url.replace(/^https:\/\/github\.com\//, "");

function aboutOf({ stars, last_update: updated, also }) {
  return [
    stars === null ? null : word("workflow.stars", { n: stars }),
    updated && word("workflow.updated", { date: updated }),
    also.length ? word("workflow.also_has", { names: also.slice(0, 3).join(", ") }) : null,
  ].filter(Boolean).join(" · ");
}

function because({ name, classes, evidence, runs }) {
  const shown = classes.slice(0, MOST_CLASSES).join(", ") + (classes.length > MOST_CLASSES ? " …" : "");
  const why = [...evidence.map((each) => word(`workflow.evidence_${each}`)), runs ? null : word("workflow.only_opens")].filter(Boolean).join(", ");
  return h("li", {}, h("b", { class: "wrap-anywhere" }, name), ` ${shown} `, h("span", { class: "soft" }, `(${why})`));
}

function modelRow({ name, folder, url }) {
  const label = h("span", { class: "wrap-anywhere" }, name);
  const place = folder ? h("span", { class: "soft" }, ` models/${folder}`) : null;
  return h("li", {}, url ? h("a", { href: url, rel: "noreferrer", target: "_blank" }, label) : label, place);
}
