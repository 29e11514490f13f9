/** What is to be installed: where the list comes from, and which of it. The start page and the page for several machines
 *  use it, with the markup of templates/_recipe.html (once a page).
 *
 *  Contract: `new Recipe(changed)`; `changed()` is called whenever what would be installed is another, never before the
 *  constructor has ended. `ready`: there is
 *  something to install. `what`: that in a few words ("34 node packs"), `words`: the same as a sentence, or what is
 *  missing. `chosen`: the manifest as the API takes it: what is shown; undefined for
 *  a recommended list that nobody could read. `hasLock`: it is a lock,
 *  so that `exact` makes sense. `wrong(text)`: shows an error of the list. `remember()`: for "As last time". `offer(command)`:
 *  a machine through which the recommended list can be read, or null. `machine`: the one that is connected, against which a
 *  workflow is held; `warning`: what is then to be known. `restore(manifest, left, name)`: what another run
 *  installed. `flow`: the workflow that the list was made from, or null. Each source keeps its own choice while others are looked at. */

import { h, setHidden, setText } from "../core/dom.js";
import { keepFocus } from "../core/focus.js";
import { recall, remember } from "../core/memory.js";
import { word } from "../core/words.js";
import { checked } from "./checked.js";
import { DefaultList } from "./default-list.js";
import { MayBeWorkflow, NoList, manifestIn, manifestOf } from "./file-kind.js";
import { watchDrops } from "./drops.js";
import { PackList } from "./pack-list.js";
import { Templates } from "./templates.js";
import { withoutWrong } from "./without.js";
import { sendAll } from "./workflow-files.js";
import { stopsEarly } from "./workflow-core.js";
import { WorkflowView } from "./workflow.js";

const STOPPED_TYPING_MS = 400;
const MOST_KEPT = 400000;
const SECRET = /\/\/[^/\s]*@|(?:token|key|secret|passw)[^=\s]{0,20}=/i;
const SOURCES = ["last", "default", "urls", "file"];
const EMPTY = () => ({ manifest: null, nodes: null, left: new Set(), label: "", notInstallable: [], error: "", refused: null, workflow: null, models: [], asked: null, lost: [], byMachine: false, isDefault: false, number: 0 });

export class Recipe {
  constructor(changed) {
    this.changed = changed;
    this.get = (id) => document.getElementById(id);
    this.kept = Object.fromEntries(SOURCES.map((name) => [name, EMPTY()]));
    Object.assign(this, { source: null, connected: null, requests: {} });
    this.list = new PackList(() => this.changed());
    this.workflow = new WorkflowView((more) => this.#asked(more));
    this.templates = new Templates(({ name, title }) => this.#check("file", { template: name, answers: {} }, title));
    this.defaults = new DefaultList((nodes) => this.#defaultCame(nodes));
    for (const radio of document.querySelectorAll('[name="source"]')) radio.addEventListener("change", () => this.#from(radio.value));
    this.get("urls").addEventListener("input", () => this.#typed());
    this.get("file").addEventListener("change", (event) => this.#fromFiles(event.target.files));
    this.get("list-leave").addEventListener("click", () => this.#leaveOut());
    watchDrops((files) => this.#dropped(files));
    queueMicrotask(() => this.#begin());
  }

  get #now() {
    return this.kept[this.source] ?? EMPTY();
  }

  get ready() {
    const { nodes, left, manifest, isDefault, error, workflow } = this.#now;
    if (error || workflow?.questions.length) return false;
    return nodes ? left.size < nodes.length : isDefault || Boolean(manifest);
  }

  get hasLock() {
    return Boolean(this.#now.manifest?.lock);
  }

  get manifest() {
    return this.#now.manifest;
  }

  get left() {
    return this.#now.left;
  }

  /** The workflow itself as a manifest, where the list was made from one. */
  get flow() {
    return this.#now.asked;
  }

  get label() {
    return this.#now.label;
  }

  get #count() {
    return this.#now.nodes.length - this.left.size;
  }

  get what() {
    if (!this.ready) return "";
    return this.#now.nodes ? word("common.packs", { n: this.#count }) : this.#now.isDefault ? word("start.default_what") : this.label;
  }

  get words() {
    if (this.ready) return this.#now.nodes ? word("start.will_install", { n: this.#count }) : word("start.will_install_default");
    if (this.#now.error) return word("start.list_wrong");
    const { workflow } = this.#now;
    if (workflow) return nothingOf(this.#now);
    return word(this.#now.nodes?.length ? "start.nothing_ticked" : "start.nothing_chosen");
  }

  get chosen() {
    const { manifest, nodes, left, isDefault } = this.#now;
    if (this.#now.workflow) return this.#ofWorkflow();
    if (!nodes || (!left.size && !isDefault)) return manifest ?? undefined; // the recommended list may be another one by then
    const kept = nodes.filter((node) => !left.has(node.name));
    if (!this.hasLock) return { nodes: kept };
    const names = new Set(kept.map((node) => node.name));
    return { lock: { ...manifest.lock, node_packs: manifest.lock.node_packs.filter((node) => names.has(node.name)) } };
  }

  /** The workflow itself, so that the run can say whether that is ready. */
  #ofWorkflow() {
    const { asked, nodes, left, manifest } = this.#now;
    const without = nodes.filter((node) => left.has(node.name)).map((node) => node.repo_url ?? node.registry_id);
    return manifest && { ...asked, ...(without.length ? { without } : {}), ...(this.workflow.remember ? { remember: true } : {}) };
  }

  /** The machine that is connected, `{ command, version }`; null for none. */
  set machine(machine) {
    if (keyOf(machine) === keyOf(this.connected)) return;
    this.connected = machine;
    this.#again();
  }

  /** What is to be known before it is installed. */
  get warning() {
    const { workflow } = this.#now;
    return this.ready && workflow && stopsEarly(workflow.core) ? word("workflow.stops_early") : "";
  }

  remember() {
    const { manifest, left, label, isDefault } = this.#now;
    const recipe = { manifest, left: [...left], label, isDefault };
    remember("recipe", JSON.stringify(recipe).length <= MOST_KEPT && !SECRET.test(JSON.stringify(manifest)) ? recipe : null);
    this.#keepDraft("last");
  }

  offer(command) {
    this.defaults.offer(command);
  }

  restore(manifest, left, name) {
    this.#offerLast({ manifest, left, label: name, isDefault: !manifest }, word("start.source_from"));
    this.#choose("last");
  }

  /** As if it were pasted. */
  paste(text) {
    this.get("urls").value = text;
    this.kept.urls = EMPTY();
    this.#choose("urls");
    this.get("urls").focus();
  }

  wrong(text) {
    setText(this.get("list-error"), text);
    setHidden(this.get("list-error"), !text);
  }

  // -- where it comes from ------------------------------------------------------------------------------------------

  #begin() {
    const last = recall("recipe", null);
    const draft = recall("draft", {});
    this.get("urls").value = typeof draft.pasted === "string" ? draft.pasted : "";
    if (last) this.#offerLast(last, word("start.source_last"));
    const wanted = SOURCES.includes(draft.source) && draft.source !== "file" ? draft.source : "default";
    this.#choose(last && (wanted === "last" || !draft.source) ? "last" : wanted === "last" ? "default" : wanted);
  }

  #keepDraft(source = this.source) {
    const pasted = this.get("urls").value;
    remember("draft", { source, pasted: pasted.length > MOST_KEPT || SECRET.test(pasted) ? "" : pasted });
  }

  #offerLast(last, name) {
    this.last = { ...last, left: last.left ?? [], isDefault: last.isDefault ?? !last.manifest };
    this.kept.last = EMPTY();
    setHidden(this.get("source-last"), false);
    setText(this.get("last-name"), name);
    setText(this.get("last-what"), last.label ?? "");
  }

  #choose(source) {
    document.querySelector(`[name="source"][value="${source}"]`).checked = true;
    return this.#from(source);
  }

  #from(source) {
    this.source = source;
    for (const name of SOURCES) setHidden(this.get(`${name}-box`), name !== source);
    this.#show();
    this.#keepDraft();
    const { nodes, error, manifest, workflow } = this.#now;
    if (nodes || error || manifest || workflow) return this.#again();
    if (source === "last") return this.#fromLast();
    if (source === "default") return this.#fromDefault();
    return source === "urls" ? this.#fromUrls() : undefined;
  }

  #fromDefault() {
    this.#put("default", { isDefault: true, label: word("start.default_label") });
    this.defaults.loaded();
  }

  #fromLast() {
    const { manifest, left, label, isDefault } = this.last;
    if (!isDefault) return this.#check("last", manifest, label, left);
    this.#put("last", { isDefault, label, left: new Set(left) });
    return this.defaults.loaded();
  }

  #defaultCame(nodes) {
    for (const name of ["default", "last"]) {
      const kept = this.kept[name];
      if (!kept.isDefault) continue;
      const names = new Set((nodes ?? []).map((node) => node.name));
      this.#put(name, { ...kept, nodes, left: nodes ? new Set([...kept.left].filter((each) => names.has(each))) : kept.left });
    }
  }

  #typed() {
    clearTimeout(this.timer);
    this.kept.urls.number += 1;
    this.requests.urls = null;
    this.timer = setTimeout(() => {
      this.#keepDraft();
      this.#fromUrls();
    }, STOPPED_TYPING_MS);
  }

  async #fromUrls() {
    const text = this.get("urls").value;
    if (!text.trim()) return this.#put("urls", {});
    try {
      const manifest = manifestOf(text, (kind, n = 1) => new NoList(word(`start.pasted_${kind}`, { n })), true);
      const label = manifest.urls ? word("start.pasted_label", { n: manifest.urls.length }) : word("start.pasted_list");
      return await this.#check("urls", manifest, label, [], text);
    } catch (error) {
      if (!(error instanceof NoList)) throw error;
      return this.#put("urls", { error: error.message });
    }
  }

  async #dropped(files) {
    if (this.source !== "file") this.#choose("file");
    await this.#fromFiles(files);
  }

  /** What was read before is not to be installed any more. */
  async #fromFiles(files) {
    if (!files.length) return undefined;
    const number = (this.kept.file.number += 1);
    this.requests.file = null;
    this.sending?.abort();
    this.#put("file", {});
    return files.length > 1 ? this.#fromWorkflows(files, number) : this.#fromFile(files[0], number);
  }

  async #fromFile(file, number) {
    try {
      const [manifest, text] = await manifestIn(file);
      if (this.kept.file.number === number) await this.#check("file", manifest, file.name, [], text);
    } catch (error) {
      if (this.kept.file.number !== number) return undefined; // another file by now
      if (error instanceof MayBeWorkflow) return this.#fromWorkflows([file], number);
      if (!(error instanceof NoList)) throw error;
      this.#put("file", { error: error.message });
    }
    return undefined;
  }

  /** Has the service read files that may hold workflows: one list of all. */
  async #fromWorkflows(files, number) {
    setHidden(this.get("file-chosen"), false);
    setText(this.get("file-chosen"), files.length > 1 ? word("workflow.reading_all", { n: files.length }) : word("workflow.reading", { name: files[0].name }));
    this.sending = new AbortController();
    const { signal } = this.sending;
    const { ids, names, lost } = await sendAll(files, signal).catch((error) => {
      if (signal.aborted) return {};
      throw error;
    });
    if (this.kept.file.number !== number) return;
    if (!ids.length) this.#put("file", { error: lost.join("\n") });
    else await this.#check("file", { workflow_file: ids.length > 1 ? ids : ids[0], answers: {} }, names.join(", "), [], "", lost);
  }

  /** The same workflow, with other answers or another extent. */
  #asked(more) {
    const { asked, label, lost, left } = this.#now;
    this.#check(this.source, { ...asked, ...more }, label, [...left], "", lost);
  }

  /** Lets the service read a list. `text`: what was pasted, for the numbers of its lines; `isKnown`: it was read before, and
   *  stays as it is where it cannot be read now. */
  async #check(source, manifest, label, left = [], text = "", lost = [], isKnown = false) {
    const number = (this.kept[source].number += 1);
    const asked = (this.requests[source] = { manifest, label, left, text, lost, machine: keyOf(this.connected) });
    const found = await checked(source, asked, this.connected);
    if (this.kept[source].number !== number) return;
    if (!isKnown || !found.error) this.#put(source, found);
  }

  /** The same list, held against another machine, where that may say something else of it. */
  #again() {
    const { source } = this;
    const asked = this.requests[source];
    const { byMachine, nodes, left, error } = this.#now;
    if (!asked || !byMachine || asked.machine === keyOf(this.connected)) return;
    this.#check(source, asked.manifest, asked.label, nodes ? [...left] : asked.left, asked.text, asked.lost, !error);
  }

  /** Goes on without what is wrong in a list; that is told like whatever else of it cannot be had. */
  async #leaveOut() {
    const { source } = this;
    let { refused } = this.#now;
    const told = [];
    while (refused) {
      const [manifest, entries] = withoutWrong(refused.manifest, refused.error);
      told.push(...entries);
      await this.#check(source, manifest, refused.label);
      const next = this.kept[source].refused;
      refused = next === refused ? null : next; // the same: something else is being read by now
    }
    const { nodes, notInstallable } = this.kept[source];
    if (nodes) this.#put(source, { ...this.kept[source], notInstallable: [...told, ...notInstallable] });
  }

  // -- what is shown ------------------------------------------------------------------------------------------------

  #put(source, parts) {
    this.kept[source] = { ...EMPTY(), ...parts, number: this.kept[source].number };
    if (source === this.source) this.#show();
  }

  #show() {
    keepFocus(() => this.#fill(), () => (this.#now.nodes ? this.get("list-search") : this.#now.refused ? this.get("list-leave") : document.querySelector(`[name="source"]:checked`)));
    this.changed();
  }

  #fill() {
    const { nodes, left, error, notInstallable, label, refused, workflow, models, asked, lost } = this.#now;
    this.workflow.show(workflow ?? ofModels(models), asked?.answers);
    setHidden(this.get("workflow-lost"), !lost.length);
    setText(this.get("workflow-lost"), lost.join("\n"));
    this.wrong(error);
    setHidden(this.get("list-leave"), !refused);
    if (refused) setText(this.get("list-leave"), word("start.leave_out", { n: refused.error.wrongEntries.length }));
    this.list.show(nodes, left);
    const box = this.get("left-out");
    setHidden(box, !notInstallable.length);
    setText(this.get("left-out-count"), word("start.not_installable", { n: notInstallable.length }));
    this.get("left-out-rows").replaceChildren(...notInstallable.map((entry) => h("li", {}, h("b", { class: "wrap-anywhere" }, [entry.name, entry.version].filter(Boolean).join(" ")), ` ${entry.reason}`)));
    const chosen = this.get("file-chosen");
    const isEnough = workflow && !nodes && !workflow.questions.length;
    setHidden(chosen, this.source !== "file" || !(nodes || isEnough));
    if (isEnough) setText(chosen, word(isSkipped(this.#now) ? "workflow.nothing_left" : "workflow.named_needs_nothing", { name: label }));
    if (nodes) setText(chosen, word("start.file_chosen", { name: label, packs: word("common.packs", { n: nodes.length }) }));
    const exact = this.get("exact-box");
    if (exact) setHidden(exact, !this.hasLock);
  }
}

/** The models of another tool's file, as a workflow has them; null for none. */
const ofModels = (models) => (models.length ? { questions: [], evidence: [], skipped: [], files: [], core: { too_new: [], needs: null, verdicts: [] }, only_opens: 0, needed: "run", models } : null);

const keyOf = (machine) => (machine ? `${machine.command}\n${machine.version}` : "");

const isSkipped = ({ workflow, asked }) => workflow.skipped.length > 0 || Object.values(asked.answers ?? {}).includes("skip");

/** Why there is nothing to install for a workflow. */
function nothingOf({ workflow, asked, label }) {
  if (workflow.questions.length) return word("workflow.open", { n: workflow.questions.length });
  return isSkipped({ workflow, asked }) ? word("workflow.nothing_left", { name: label }) : word("workflow.needs_nothing");
}
