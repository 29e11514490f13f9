/** What a run asks: a card a question, its answers as buttons. */

import { api } from "../core/api.js";
import { showTrouble } from "../core/banner.js";
import { announce, h, patchList, setHidden, setText } from "../core/dom.js";

export class Questions {
  /** `look()` is called after an answer. */
  constructor(taskId, place, look) {
    Object.assign(this, { taskId, place, look });
  }

  update(questions) {
    patchList(this.place, questions ?? [], { key: (each) => each.id, make: (each) => this.#card(each), update: (card, each) => this.#patch(card, each) });
  }

  #card(question) {
    const title = `question-${question.id}`;
    const buttons = question.answers.map(({ answer, label }) => h("button", { type: "button", "data-answer": answer, onclick: () => this.#reply(question.id, answer, label) }, label));
    const [text] = question.text.split("\n\n", 1); // what follows is in the items too
    announce(text);
    return h("section", { class: "card stack", "aria-labelledby": title }, h("h2", { id: title }, text), this.#items(question), h("p", {}, question.hint), h("div", { class: "row" }, buttons), h("p", { class: "hint", "data-until": "" }));
  }

  /** What would run, or the lines that would be installed, a part to open for each pack. */
  #items({ facts }) {
    const items = Array.isArray(facts?.items) ? facts.items : [];
    return items.filter((each) => each?.text).map(({ pack, what, text, is_cut }) => h("details", {}, h("summary", {}, `${pack}: ${what}`), h("pre", {}, `${text}${is_cut ? " …" : ""}`)));
  }

  #patch(card, question) {
    for (const button of card.querySelectorAll("button")) button.disabled = question.answer !== null;
    const until = question.expires_at && new Date(question.expires_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const labelOf = (wanted) => question.answers.find(({ answer }) => answer === wanted)?.label ?? wanted;
    const hint = card.querySelector("[data-until]");
    setText(hint, question.answer !== null ? `Answered: ${labelOf(question.answer)}` : until ? `Without an answer by ${until}: ${labelOf(question.default)}` : "");
    setHidden(hint, !hint.textContent);
  }

  async #reply(id, answer, label) {
    try {
      await api(`/tasks/${this.taskId}/answer`, { body: { id, answer } });
      announce(`Answered: ${label}`);
    } catch (error) {
      showTrouble(error);
    }
    this.look();
  }
}
