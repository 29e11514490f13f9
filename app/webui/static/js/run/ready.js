/** Whether the workflows that the run was started with are ready to run: one sentence, and each thing that is missing. */

import { api } from "../core/api.js";
import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { isOff, setOff } from "../core/focus.js";
import { icon, setIcon } from "../core/icons.js";
import { word } from "../core/words.js";

const TONES = { ready: "good", not_ready: "bad", unknown: "warn" };
const ICONS = { ready: "ready", not_ready: "failed", unknown: "problem" };
const MOST_NODES = 6;
const LONGEST_CHECK = 150000;

export class Ready {
  /** `look()` asks for the run anew; `ask()` has ComfyUI asked; `now`: what that is called before the first time. */
  constructor(place, look, { ask = () => this.#ofRun(), now = "proof.now" } = {}) {
    Object.assign(this, { place, look, ask, now, proof: null, run: null, open: null });
    this.mark = icon("waiting");
    this.sentence = h("h2", {});
    this.note = h("p", { class: "soft" });
    this.toggle = h("button", { type: "button", class: "btn small", "aria-controls": "ready-list", onclick: () => this.#toggle() });
    this.again = h("button", { type: "button", class: "btn small", "data-writes": true, onclick: () => this.#check() });
    this.said = h("p", { class: "field-error", role: "alert", hidden: true });
    this.list = h("ul", { id: "ready-list", tabindex: "0", "aria-label": word("proof.list") });
    const says = h("div", { class: "ready-says" }, this.sentence, this.note);
    place.append(h("div", { class: "ready-line" }, this.mark, says, h("div", { class: "row" }, this.toggle, this.again)), this.said, this.list);
  }

  /** Answers whether the run has to be asked for again: a check goes on, or begins at once. */
  update(run) {
    Object.assign(this, { run, proof: run.proof ?? null });
    const { proof } = this;
    const hidden = !proof || (run.in_progress && !proof.checked_at && !proof.in_progress);
    setHidden(this.place, hidden);
    if (hidden) return false;
    const isLive = proof.in_progress || isDue(run);
    const tone = isLive ? "live" : TONES[proof.verdict] ?? "idle";
    setAttribute(this.place, "data-tone", tone);
    setIcon(this.mark, isLive ? "working" : ICONS[proof.verdict] ?? "waiting");
    setText(this.sentence, isLive ? word("proof.checking") : proof.sentence ?? word("proof.not_checked"));
    setText(this.note, noteOf(proof));
    setHidden(this.note, !this.note.textContent);
    this.items = proof.results.flatMap((result) => grouped(result, proof.results.length > 1));
    setText(this.again, word(proof.checked_at ? "proof.again" : this.now));
    setOff(this.again, isLive);
    setHidden(this.again, run.in_progress);
    this.#show();
    return isLive;
  }

  #toggle() {
    this.open = this.list.hidden;
    this.#show();
  }

  #show() {
    const open = this.items.length > 0 && (this.open ?? true);
    setHidden(this.toggle, !this.items.length);
    setText(this.toggle, word(open ? "proof.hide" : "proof.show", { n: this.items.length }));
    setAttribute(this.toggle, "aria-expanded", String(open));
    setHidden(this.list, !open);
    if (open) patchList(this.list, this.items, { key: (item) => item.key, make, update: () => {} });
  }

  #ofRun() {
    return api(`/runs/${this.run.run_id}/proof`, { body: {}, timeout: LONGEST_CHECK });
  }

  async #check() {
    if (isOff(this.again)) return;
    setOff(this.again, true);
    setHidden(this.said, true);
    setText(this.sentence, word("proof.checking"));
    try {
      await this.ask();
    } catch (error) {
      setText(this.said, [error.message, error.hint].filter(Boolean).join(" "));
      setHidden(this.said, false);
    } finally {
      this.look();
      this.update(this.run);
    }
  }
}

/** Whether ComfyUI was restarted since the last check: the next one begins by itself. */
function isDue({ chapters, proof, in_progress: live }) {
  const ended = chapters.filter(({ name, finished_at: at, summary }) => name === "restart" && at && summary.tone === "good").map(({ finished_at: at }) => at);
  const last = ended.at(-1);
  const isNew = last && Date.now() - Date.parse(last) < LONGEST_CHECK;
  return !live && Boolean(isNew) && (!proof.checked_at || proof.checked_at < last);
}

function noteOf({ names, results, note }) {
  if (note) return note;
  const saved = results.map(({ saved_as: path }) => path?.replace(/^workflows\//, "")).filter(Boolean);
  const problems = results.map(({ problem, verdict, sentence }) => (problem && !(verdict === "unknown" && sentence.includes(problem)) ? problem : "")).filter(Boolean);
  if (problems.length) return problems[0];
  return saved.length ? word("proof.saved", { n: saved.length, names: saved.join(", ") }) : word("proof.of", { names: names.join(", ") });
}

/** The same thing at several nodes stands once. */
function grouped({ name, findings }, isNamed) {
  const found = new Map();
  for (const finding of findings) {
    const key = `${name} ${finding.kind} ${finding.what} ${finding.hint}`;
    const item = found.get(key) ?? { ...finding, key, nodes: [], workflow: isNamed ? name : null };
    item.nodes.push(finding.node_id);
    found.set(key, item);
  }
  return [...found.values()];
}

function make({ kind, what, hint, nodes, class: className, input, file, workflow }) {
  const some = nodes.slice(0, MOST_NODES).join(", ") + (nodes.length > MOST_NODES ? " …" : "");
  const where = [workflow, nodes[0] && word("proof.node", { n: nodes.length, ids: some }), className, input].filter(Boolean);
  const url = file?.url && /^https?:/.test(file.url) ? h("a", { class: "wrap-anywhere", href: file.url, target: "_blank", rel: "noreferrer" }, file.url) : null;
  const tone = kind === "unsure" ? "warn" : "bad";
  return h("li", { class: "need", "data-tone": tone }, h("h3", {}, what), h("p", { class: "ready-where" }, where.map((part) => h("span", {}, part))), h("p", { class: "need-hint" }, hint), url && h("p", { class: "need-hint" }, url));
}
