/** What only a person can help: failed packs and those with a problem by their cause, with what helps; a suggestion that the run
 *  has found; builds that take long. */

import { api } from "../core/api.js";
import { h, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { isOff, setOff } from "../core/focus.js";
import { span } from "../core/format.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { commandLine, commandsIn } from "./commands.js";
import { remedyOf } from "./remedies.js";
import { standingOf } from "./standings.js";

const LONG_BUILD_SECONDS = 60;
const MOST_NAMES = 12;
const ADDRESS = new Set(["repository_not_found", "repository_not_found_or_private"]);
const WIDE = matchMedia("(min-width: 1200px) and (min-height: 600px)"); // it stands beside the rows then

export class Needs {
  /** `refs`: the list, its switch and the number on it; `pick(name)` opens a pack's log. */
  constructor(refs, { actions, pick, taskOf }) {
    Object.assign(this, { refs, actions, pick, taskOf, items: [], aside: false, watched: false, open: null, ended: false });
    refs.toggle.addEventListener("click", () => {
      this.open = this.refs.box.hidden;
      this.#show();
    });
  }

  /** `retries`: whether anything can be tried again: not after a plan, nor after a put back. */
  update(progress, retries) {
    this.retries = retries;
    this.ended = !progress.in_progress;
    this.watched ||= progress.in_progress;
    this.items = [...(this.actions.has("repair") ? suggestion(progress) : []), ...causes(progress, this.taskOf), ...builds(progress)];
    const number = progress.counts.failed + progress.counts.problem;
    setText(this.refs.number, String(number || this.items.length));
    setHidden(this.refs.toggle, !this.items.length);
    this.#show();
    if (this.refs.box.hidden) return;
    patchList(this.refs.list, this.items, { key: (item) => item.key, make: (item) => this.#make(item), update: (node, item) => this.#patch(node, item) });
  }

  /** Whether a log stands where this would. */
  beside(log) {
    this.aside = log;
    this.open = null;
    this.#show();
  }

  /** While the run goes on it opens when somebody wants it. At the end it stands open, unless that would push away the rows
   *  that somebody looks at. */
  #show() {
    const open = this.items.length > 0 && (this.open ?? (this.ended && !this.aside && (WIDE.matches || !this.watched)));
    setHidden(this.refs.box, !open);
    setAttribute(this.refs.toggle, "aria-expanded", String(open));
    if (open && !this.refs.list.childElementCount) patchList(this.refs.list, this.items, { key: (item) => item.key, make: (item) => this.#make(item), update: (node, item) => this.#patch(node, item) });
  }

  #make(item) {
    const title = h("h3", {}, item.title);
    const remedy = item.hint ? h("p", { class: "need-hint" }, item.hint) : null;
    const copies = commandsIn(item.hint).map(commandLine);
    const buttons = h("div", { class: "row need-acts" });
    const said = h("p", { class: "field-error", role: "alert", hidden: true });
    return h("li", { class: "need", "data-tone": item.tone }, title, h("p", { class: "need-packs" }), item.body?.() ?? null, remedy, item.addresses?.length ? h("div", { class: "need-addresses" }, h("ul"), h("a", { class: "btn small" })) : null, ...copies, buttons, said);
  }

  /** What a person looks at, and where it is put right: on the start page, with the machine. */
  #addresses(place, addresses) {
    const { ssh_connection: machine } = this.actions.run().machine;
    const [list, correct] = place.children;
    patchList(list, addresses.slice(0, MOST_NAMES), {
      key: (url) => url,
      make: (url) => h("li", {}, h("a", { class: "mono wrap-anywhere", href: url, target: "_blank", rel: "noreferrer" }, url)),
      update: () => {},
    });
    setAttribute(correct, "href", at(`/?ssh=${encodeURIComponent(machine)}&paste=${encodeURIComponent(addresses.join("\n"))}`));
    setText(correct, word("run.correct_address", { n: addresses.length }));
  }

  #patch(node, item) {
    const where = node.querySelector(".need-addresses");
    if (where) this.#addresses(where, item.addresses);
    setText(node.querySelector("h3"), item.title);
    patchList(node.querySelector(".need-packs"), names(item.packs), {
      key: (name) => name,
      make: (name) => (name === "…" ? h("span", { class: "soft" }, "…") : h("button", { type: "button", class: "link", onclick: () => this.pick(name) }, name)),
      update: () => {},
    });
    patchList(node.querySelector(".need-acts"), this.#wanted(item), {
      key: (wanted) => wanted.key ?? wanted.label,
      make: (wanted) => h("button", { type: "button", class: `btn small ${wanted.tone ?? ""}`, "data-writes": true, onclick: (event) => this.#do(event.currentTarget, wanted) }, wanted.label),
      update: (button, wanted) => {
        setText(button, wanted.label);
        setOff(button, Boolean(wanted.off));
      },
    });
    setHidden(node.querySelector(".need-acts"), !this.#wanted(item).length);
  }

  #wanted(item) {
    if (item.build) return [{ key: "skip", label: word(item.build.skip_requested ? "run.skipping" : "run.skip_build"), off: item.build.skip_requested, act: () => api(`/tasks/${this.taskOf(item.packs[0])}/skip`, { body: { package: item.build.package } }) }];
    if (item.repair) return this.ended ? [{ label: word("run.do_repair"), act: () => this.actions.do("repair") }] : [];
    if (!this.ended || !item.retry || !this.retries) return [];
    return [{ label: item.retry.label ?? word("run.retry_these", { n: item.packs.length }), act: () => this.actions.retry(item.taskId, { nodes: item.packs, ...item.retry.body }) }];
  }

  /** What went wrong stays here until it is tried again. */
  async #do(button, wanted) {
    if (isOff(button)) return;
    const said = button.closest(".need").querySelector('[role="alert"]');
    setHidden(said, true);
    setOff(button, true);
    try {
      await wanted.act();
    } catch (error) {
      setText(said, [error.message, error.hint].filter(Boolean).join(" "));
      setHidden(said, false);
      setOff(button, false);
    }
  }
}

const names = (packs) => (packs.length > MOST_NAMES ? [...packs.slice(0, MOST_NAMES), "…"] : packs);

/** One item for each reason and what helps against it. */
function causes(progress, taskOf) {
  const found = new Map();
  for (const node of progress.nodes) {
    if (!["failed", "problem"].includes(standingOf(node))) continue;
    const { code = "not_checked", title = word("run.not_checked_title"), message = title, hint = "", retryable = false } = node.error ?? {};
    const taskId = taskOf(node.name);
    const key = `${code} ${hint} ${taskId}`;
    const item = found.get(key) ?? { key, code, taskId, tone: "warn", title: message, other: title, hint, packs: [], addresses: [], messages: new Set() };
    item.packs.push(node.name);
    item.messages.add(message);
    if (ADDRESS.has(code) && /^https?:/.test(node.repo_url)) item.addresses.push(node.repo_url);
    if (standingOf(node) === "failed") item.tone = "bad";
    item.retry = remedyOf(hint) ?? (retryable ? { body: {} } : null);
    found.set(key, item);
  }
  const worstFirst = [...found.values()].sort((one, other) => (one.tone === "bad" ? 0 : 1) - (other.tone === "bad" ? 0 : 1));
  return worstFirst.map((item) => (item.messages.size > 1 ? { ...item, title: item.other } : item));
}

function suggestion({ repair }) {
  if (repair?.state !== "found") return [];
  const changes = [...repair.packages, ...repair.packs.map(({ name, old, new: to }) => ({ package: name, old: old?.slice(0, 10), new: to?.slice(0, 10) }))];
  const body = () => h("ul", { class: "need-diff" }, changes.map((change) => h("li", {}, h("b", {}, change.package), " ", h("del", {}, change.old ?? "–"), " → ", h("ins", {}, change.new ?? "–"))));
  return [{ key: "repair", tone: "live", repair: true, title: word("run.suggestion", { n: repair.loads.length }), packs: repair.loads, hint: word("run.suggestion_hint"), body }];
}

function builds(progress) {
  if (!progress.in_progress) return [];
  const long = (progress.builds ?? []).filter((build) => build.state === "running" && build.seconds >= LONG_BUILD_SECONDS);
  return long.map((build) => ({ key: `build ${build.package}`, tone: "live", build, title: word("run.long_build", { name: build.package, time: span(build.seconds) }), packs: build.packs, hint: word("run.long_build_hint") }));
}
