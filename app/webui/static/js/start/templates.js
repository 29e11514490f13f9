/** ComfyUI's official templates: searched, and one of them chosen.
 *
 *  Contract: `new Templates(chosen)`; `chosen({ name, title })` is called with the one that is picked. */

import { api } from "../core/api.js";
import { h, setHidden, setText } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { word } from "../core/words.js";

const PAGE = 24;
const STOPPED_TYPING_MS = 250;

export class Templates {
  constructor(chosen) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { chosen, box: get("templates"), words: get("template-search"), category: get("template-category"), rows: get("template-rows"), said: get("template-count"), wrong: get("template-wrong"), tools: get("template-tools"), more: get("template-more"), listed: [], number: 0 });
    this.box.addEventListener("toggle", () => this.box.open && !this.listed.length && this.#search());
    this.words.addEventListener("input", () => this.#soon());
    this.words.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
    this.category.addEventListener("change", () => this.#search());
    this.more.addEventListener("click", () => this.#search(this.listed.length));
  }

  #soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#search(), STOPPED_TYPING_MS);
  }

  async #search(offset = 0) {
    const number = (this.number += 1);
    const asked = new URLSearchParams({ offset, limit: PAGE });
    if (this.words.value.trim()) asked.set("q", this.words.value.trim().slice(0, 200));
    if (this.category.value) asked.set("category", this.category.value);
    const found = await api(`/templates?${asked}`).catch((error) => ({ problem: error }));
    if (number !== this.number) return;
    this.#refused(found.problem);
    if (!found.problem) this.#show(found, offset);
  }

  #show({ templates, total, categories }, offset) {
    this.listed = offset ? [...this.listed, ...templates] : templates;
    if (this.category.options.length === 1) this.category.append(...categories.map(({ name, count }) => h("option", { value: name }, `${name} (${count})`)));
    const made = templates.map((each) => this.#row(each));
    if (offset) this.rows.append(...made);
    else this.rows.replaceChildren(...made);
    if (offset) made[0]?.querySelector("button").focus();
    setText(this.said, total ? word("workflow.templates_found", { n: total }) : word("workflow.templates_none"));
    setHidden(this.more, this.listed.length >= total);
  }

  #row(template) {
    const facts = [template.category, sizeOf(template), template.min_comfyui_version && word("workflow.template_needs", { version: template.min_comfyui_version })];
    const button = h("button", { type: "button", class: "template", onclick: () => this.#choose(template) }, h("b", { class: "wrap-anywhere" }, template.title), h("span", { class: "soft small" }, facts.filter(Boolean).join(" · ")));
    return h("li", {}, button);
  }

  #choose(template) {
    this.box.open = false;
    this.box.querySelector("summary").focus();
    this.chosen(template);
  }

  #refused(error) {
    setHidden(this.wrong, !error);
    setHidden(this.tools, Boolean(error));
    setText(this.wrong, error ? [error.message, error.hint].filter(Boolean).join(" ") : "");
  }
}

function sizeOf({ hosted, size }) {
  if (hosted) return word("workflow.template_hosted");
  return size ? word("workflow.template_size", { size: bytes(size) }) : null;
}
