/** The lock: the exact list of what is installed now, to look at, to keep, and to install again elsewhere. */

import { api } from "../core/api.js";
import { h, setHidden, setText } from "../core/dom.js";
import { copy, download } from "../core/files.js";
import { menu } from "../core/menu.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { about, isHidden, versionOf } from "./about.js";
import { short } from "./facts.js";

/** What a lock can be downloaded as for others, in the API's words. */
const FORMS = ["manager-snapshot", "comfy-build", "provisioning", "on-start"];
const FILES = { "manager-snapshot": "snapshot.json" };

export class LockTab {
  constructor(element) {
    Object.assign(this, { element, asked: "", lock: null });
    this.says = h("span", { class: "small soft", role: "status" });
    this.summary = h("p", {});
    this.differences = h("div", { class: "note", "data-tone": "warn", hidden: true });
    this.list = h("ol", { class: "lock-packs" });
    this.packages = h("pre", { class: "lock-packages", tabindex: "0", "aria-label": word("log.lock_packages") });
    const button = (name, action, tone = "") => h("button", { type: "button", class: tone, onclick: () => action.call(this) }, word(`log.${name}`));
    this.elsewhere = h("a", { class: "button", href: at("/") }, word("log.lock_elsewhere"));
    const tools = h("div", { class: "row" }, button("lock_download", this.#download, "primary"), button("lock_copy", this.#copy), this.#others(), this.elsewhere, this.says);
    this.next = h("div", { class: "note lock-next", hidden: true });
    const details = h("details", {}, h("summary", {}, word("log.lock_packages")), this.packages);
    this.all = h("div", { class: "tab-all", hidden: true }, h("p", { class: "lock-what" }, word("log.lock_what")), tools, this.next, this.summary, this.differences, this.list, details);
    this.empty = h("p", { class: "tab-empty soft" }, word("log.lock_not_yet"));
    element.append(this.all, this.empty);
  }

  async update(progress) {
    const version = versionOf(progress);
    if (isHidden(this.element) || this.asked === version) return;
    this.asked = version;
    if (progress.in_progress) return this.#nothing(word("log.lock_not_yet"));
    if (progress.state !== "completed") return this.#nothing(word("log.lock_never"));
    try {
      const { lock } = await about(`/tasks/${progress.task_id}/lock`, version);
      if (this.asked === version) this.#draw(progress.task_id, lock);
    } catch (error) {
      if (error.status !== 404) this.asked = "";
      this.#nothing(error.status === 404 ? word("log.lock_never") : error.message);
    }
  }

  #nothing(text) {
    setText(this.empty, text);
    setHidden(this.empty, false);
    setHidden(this.all, true);
  }

  #draw(taskId, lock) {
    Object.assign(this, { lock, taskId });
    setHidden(this.empty, true);
    setHidden(this.all, false);
    this.elsewhere.href = at(`/?lock=${taskId}`);
    const packages = Object.entries(lock.packages ?? {});
    const parts = [word("common.packs", { n: lock.node_packs.length }), word("log.packages", { n: packages.length }), lock.python && word("log.lock_python", { version: lock.python }), lock.torch?.version && word("log.lock_torch", { version: lock.torch.version }), lock.comfyui_commit && word("log.lock_comfyui", { commit: short(lock.comfyui_commit) })];
    setText(this.summary, parts.filter(Boolean).join(" · "));
    const differs = lock.compared?.differences ?? [];
    this.differences.replaceChildren(h("strong", {}, word("log.lock_differs")), h("ul", {}, differs.map((text) => h("li", {}, text))));
    setHidden(this.differences, !differs.length);
    this.list.replaceChildren(...lock.node_packs.map((pack) => h("li", {}, h("span", { class: "lock-name" }, pack.name), h("span", { class: "mono soft", title: pack.commit ?? pack.version ?? "" }, short(pack.commit ?? pack.version ?? "–")))));
    setText(this.packages, packages.map(([name, version]) => `${name}==${version}`).join("\n"));
  }

  #text() {
    return `${JSON.stringify(this.lock, null, 2)}\n`;
  }

  #download() {
    download(`nodeferry-${short(this.taskId, 8)}.lock.json`, this.#text());
  }

  async #copy() {
    setText(this.says, word((await copy(this.#text())) ? "log.lock_copied" : "log.no_clipboard"));
  }

  #others() {
    const items = FORMS.map((form) => ({ label: word(`log.lock_as_${form}`), hint: word(`log.lock_for_${form}`), onclick: () => this.#as(form) }));
    return menu({ label: word("log.lock_others"), items, fromLeft: true });
  }

  /** Downloads it as another tool's file, and says what to do with one that a machine starts with. */
  async #as(form) {
    setText(this.says, "");
    setHidden(this.next, true);
    let found;
    try {
      found = await api(`/tasks/${this.taskId}/lock?format=${form}`);
    } catch (error) {
      return setText(this.says, error.message);
    }
    const text = found.text ?? `${JSON.stringify(found, null, 2)}\n`;
    download(found.file_name ?? FILES[form], text, "text/plain");
    const line = found.line?.replace("ADDRESS", word("log.lock_address"));
    this.next.replaceChildren(...(line ? [h("p", {}, word("log.lock_next", { name: found.file_name })), h("pre", { class: "mono wrap-anywhere" }, line)] : []), ...(found.told ?? []).map((each) => h("p", { class: "small" }, each)));
    return setHidden(this.next, !this.next.childElementCount);
  }
}
