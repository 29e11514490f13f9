/** The questions of a workflow as a form: one for all classes of which the same packs may be meant. */

import { h } from "../core/dom.js";
import { word } from "../core/words.js";

const SKIP = "skip";
const MOST_NAMED = 4;

/** Questions with the same candidates together; each without any alone. */
export function grouped(questions) {
  const groups = new Map();
  for (const question of questions) {
    const answers = question.candidates.map(({ answer }) => answer);
    const key = answers.length ? answers.join("\n") : question.question_id;
    if (!groups.has(key)) groups.set(key, { key, questions: [] });
    groups.get(key).questions.push(question);
  }
  return [...groups.values()].map(({ questions: asked }) => ({ key: asked.map(({ question_id: id }) => id).join("\n"), questions: asked }));
}

/** The answer that is chosen in a question's fieldset; "" for an address that is not written yet. */
export function answerIn(set) {
  const chosen = set.querySelector("input:checked").value;
  return chosen === "" ? set.querySelector('[type="url"]').value.trim() : chosen;
}

/** One question: the candidates with what is known of them, another repository, or none. */
export function asking({ key, questions }) {
  const [first] = questions;
  const choice = (value, label, about) => h("label", { class: "choice" }, h("input", { type: "radio", name: key, value }), h("span", { class: "wrap-anywhere" }, label), about && h("span", { class: "soft small" }, about));
  const own = h("input", { type: "url", hidden: true, placeholder: "https://github.com/owner/name", "aria-label": word("workflow.other_repository"), autocomplete: "off", spellcheck: "false" });
  return h(
    "fieldset",
    { class: "note workflow-question", "data-tone": "warn", "data-questions": JSON.stringify(questions.map(({ question_id: id }) => id)) },
    h("legend", {}, word("workflow.which_pack", { name: namesOf(questions) })),
    !first.candidates.length && h("p", { class: "soft small" }, first.registry_id ? word("workflow.only_an_id", { id: first.registry_id }) : word("workflow.nobody_known")),
    ...first.candidates.map((each) => choice(each.answer, nameOf(each), aboutOf(each, questions.length > 1 ? [] : each.also))),
    choice("", word("workflow.other_repository")),
    own,
    choice(SKIP, word("workflow.skip")),
  );
}

function namesOf(questions) {
  const names = questions.slice(0, MOST_NAMED).map((question) => question.class).join(", ");
  return questions.length > MOST_NAMED ? names + word("workflow.and_more", { n: questions.length - MOST_NAMED }) : names;
}

const nameOf = ({ repo_url: url, answer }) => (url ?? answer).replace(/^https:\/\/github\.com\//, "");

function aboutOf({ stars, last_update: updated, title }, also) {
  return [
    title,
    stars === null ? null : word("workflow.stars", { n: stars }),
    updated && word("workflow.updated", { date: updated.slice(0, 10) }),
    also.length ? word("workflow.also_has", { names: also.slice(0, 3).join(", ") }) : null,
  ].filter(Boolean).join(" · ");
}
