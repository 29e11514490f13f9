/** What is to be installed: where the list comes from, and which of it. Nothing is chosen on a first visit. */

import { api } from "../core/api.js";
import { h, patchList, setHidden, setText } from "../core/dom.js";
import { count } from "../core/format.js";
import { recall } from "../core/memory.js";

const MOST_BYTES = 900000;

export class Recipe {
  /** `changed()` is called whenever what would be installed is another. */
  constructor(changed) {
    this.changed = changed;
    this.get = (id) => document.getElementById(id);
    Object.assign(this, { source: null, manifest: null, nodes: null, left: new Set(), label: "", busy: 0 });
    for (const radio of document.querySelectorAll('[name="source"]')) radio.addEventListener("change", () => this.#from(radio.value));
    this.get("urls").addEventListener("input", () => this.#later(() => this.#fromUrls()));
    this.get("file").addEventListener("change", (event) => this.#fromFile(event.target.files[0]));
    this.get("list-search").addEventListener("input", () => this.#draw());
    this.get("all").addEventListener("click", () => this.#choose(true));
    this.get("none").addEventListener("click", () => this.#choose(false));
    this.#dropping();
    this.last = recall("recipe", null);
    if (this.last) {
      setHidden(this.get("source-last"), false);
      setText(this.get("last-what"), this.last.label);
    }
  }

  /** Whether there is something to install. */
  get ready() {
    if (this.source === "default" || (this.source && this.nodes === null && this.manifest)) return true;
    return Boolean(this.nodes?.length) && this.left.size < this.nodes.length;
  }

  get hasLock() {
    return Boolean(this.manifest?.lock);
  }

  get words() {
    if (!this.ready) return "Choose what to install first.";
    return this.nodes ? `${count(this.nodes.length - this.left.size, "node pack")} will be installed.` : this.label;
  }

  /** The manifest as the API takes it, without what was unchecked; undefined for the default list. */
  get chosen() {
    if (this.source === "default" || !this.nodes || !this.left.size) return this.manifest ?? undefined;
    const kept = this.nodes.filter((node) => !this.left.has(node.name));
    if (!this.hasLock) return { nodes: kept };
    const names = new Set(kept.map((node) => node.name));
    const lock = this.manifest.lock;
    return { lock: { ...lock, node_packs: lock.node_packs.filter((node) => names.has(node.name)) } };
  }

  async #from(source) {
    this.source = source;
    setHidden(this.get("urls-box"), source !== "urls");
    setHidden(this.get("file-box"), source !== "file");
    this.#take(null, null, "");
    if (source === "default") this.#take(null, null, "The Auto-installer’s list will be read on the machine.");
    if (source === "last") await this.#check(this.last.manifest ?? null, this.last.label, this.last.left);
    if (source === "urls") await this.#fromUrls();
  }

  #later(what) {
    clearTimeout(this.timer);
    this.timer = setTimeout(what, 300);
  }

  async #fromUrls() {
    const urls = linesOf(this.get("urls").value);
    if (!urls.length) return this.#take(null, null, "");
    await this.#check({ urls }, count(urls.length, "pasted repository", "pasted repositories"));
  }

  async #fromFile(file) {
    if (!file) return;
    if (file.size > MOST_BYTES) return this.wrong(`${file.name} is larger than 900 KB; that is no list of node packs.`);
    await this.#check(manifestOf(file.name, await textOf(file)), file.name);
  }

  #dropping() {
    const box = this.get("file-box");
    const over = (on) => (event) => {
      event.preventDefault();
      box.classList.toggle("over", on);
    };
    for (const target of [document]) {
      target.addEventListener("dragover", over(true));
      target.addEventListener("dragleave", over(false));
      target.addEventListener("drop", (event) => {
        over(false)(event);
        const file = event.dataTransfer?.files[0];
        if (!file) return;
        document.querySelector('[name="source"][value="file"]').checked = true;
        this.#from("file").then(() => this.#fromFile(file));
      });
    }
  }

  async #check(manifest, label, left = []) {
    const mine = (this.busy += 1);
    try {
      const found = await api("/manifests/check", { body: { manifest } });
      if (mine !== this.busy) return;
      this.#take(found.manifest, found.nodes, label, left);
      this.#leaveOut(found.left_out ?? []);
    } catch (error) {
      if (mine !== this.busy) return;
      this.#take(null, null, "");
      this.wrong(`${error.message} ${error.hint}`.trim());
    }
  }

  #take(manifest, nodes, label, left = []) {
    Object.assign(this, { manifest, nodes, label, left: new Set(left) });
    this.wrong("");
    this.#leaveOut([]);
    setHidden(this.get("list"), !nodes?.length);
    setHidden(this.get("exact-box"), !this.hasLock);
    this.#draw();
  }

  /** What the file names and cannot be had, each with why and what to do. */
  #leaveOut(entries) {
    setHidden(this.get("left-out"), !entries.length);
    setText(this.get("left-out-count"), entries.length === 1 ? "1 entry of the list cannot be installed" : `${entries.length} entries of the list cannot be installed`);
    this.get("left-out-rows").replaceChildren(...entries.map((entry) => h("li", {}, h("b", { class: "wrap-anywhere" }, [entry.name, entry.version].filter(Boolean).join(" ")), ` ${entry.reason}`)));
  }

  wrong(text) {
    setText(this.get("list-error"), text);
    setHidden(this.get("list-error"), !text);
  }

  #choose(all) {
    const shown = this.#shown();
    for (const node of shown) {
      if (all) this.left.delete(node.name);
      else this.left.add(node.name);
    }
    this.#draw();
  }

  #shown() {
    const words = this.get("list-search").value.trim().toLowerCase();
    return (this.nodes ?? []).filter((node) => `${node.name} ${node.repo_url}`.toLowerCase().includes(words));
  }

  #draw() {
    patchList(this.get("list-rows"), this.#shown(), { key: (node) => node.name, make: (node) => this.#row(node), update: (row, node) => {
      row.querySelector("input").checked = !this.left.has(node.name);
    } });
    if (this.nodes) setText(this.get("list-count"), `${this.nodes.length - this.left.size} of ${this.nodes.length} chosen`);
    this.changed();
  }

  #row(node) {
    const box = h("input", { type: "checkbox", "aria-label": `Install ${node.name}` });
    box.addEventListener("change", () => {
      if (box.checked) this.left.delete(node.name);
      else this.left.add(node.name);
      this.#draw();
    });
    return h("tr", {}, h("td", {}, box), h("td", {}, node.name), h("td", { class: "soft wrap-anywhere small" }, node.repo_url), h("td", { class: "mono small" }, (node.ref ?? "").replace(/^tree:/, "").slice(0, 24)));
  }
}

/** A file's text: UTF-8, or UTF-16 as Windows' PowerShell writes it. */
async function textOf(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const [first, second] = bytes;
  const big = (first === 0xfe && second === 0xff) || first === 0;
  const small = (first === 0xff && second === 0xfe) || second === 0;
  return new TextDecoder(big ? "utf-16be" : small ? "utf-16le" : "utf-8").decode(bytes);
}

/** The lines of a list of addresses, as they were typed: the service reads them, and whole commands, in one place. */
function linesOf(text) {
  return text.replace(/\\\r?\n/g, " ").split(/\r?\n/).filter((line) => line.trim() && !/^\s*#(?!\s*git\s)/.test(line));
}

/** What a dropped file is, by its content: the names of files lie. A snapshot goes to the service as it is. */
function manifestOf(name, text) {
  if (/^[\s{,]*["']?(git_custom_nodes|cnr_custom_nodes)["']?\s*:/m.test(text) && !/"node_packs"\s*:/.test(text)) return { manager_snapshot: text };
  try {
    const found = JSON.parse(text);
    if (found.lock) return { lock: found.lock };
    if (found.node_packs) return { lock: found };
    if (Array.isArray(found)) return typeof found[0] === "string" ? { urls: found } : { nodes: found };
    return found;
  } catch {
    if (/["']?node_packs["']?\s*:/.test(text)) return { manager_snapshot: text }; // a lock that is not quite JSON
    if (/^\s*(git_custom_nodes|cnr_custom_nodes|comfyui|pips)\s*:/m.test(text)) return { manager_snapshot: text };
    if (!/RepoUrl/i.test(text) && /^\s*(?:[-*]\s+)?["'<]?(?:https?:\/\/|git@|git clone )/m.test(text)) return { urls: linesOf(text) };
    return { csv: text };
  }
}
