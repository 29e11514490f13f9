/** The SSH command, and what the machine behind it is. */

import { api } from "../core/api.js";
import { h, setHidden, setText } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { instances } from "../core/memory.js";
import { offerKeys } from "./keys.js";
import { troubleOf } from "./troubles.js";


export class Connection {
  constructor() {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { field: get("ssh"), error: get("ssh-error"), place: get("tested"), button: get("test"), home: get("ui-home") });
    this.button.addEventListener("click", () => this.test());
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.test();
    });
    this.field.addEventListener("input", () => this.wrong(""));
    const known = instances();
    setHidden(get("known"), !known.length);
    get("known-list").append(...known.map((text) => h("button", { type: "button", class: "small", onclick: () => this.#choose(text) }, text)));
  }

  get command() {
    return this.field.value.trim();
  }

  #choose(text) {
    this.field.value = text;
    this.wrong("");
    this.test();
  }

  wrong(text) {
    setText(this.error, text);
    setHidden(this.error, !text);
    this.field.setAttribute("aria-invalid", String(Boolean(text)));
    if (text) this.field.focus();
  }

  async test() {
    if (!this.command) return this.wrong("Paste the SSH command of your machine.");
    this.button.disabled = true;
    this.place.replaceChildren(h("p", { class: "note", "data-tone": "live" }, "Connecting…"));
    try {
      const found = await api("/ssh/test", { body: { ssh_connection: this.command, ui_home: this.home.value.trim() || null }, timeout: 130000 });
      this.place.replaceChildren(found.success ? machine(found) : this.#failure(found));
    } catch (error) {
      this.place.replaceChildren();
      this.wrong(`${error.message} ${error.hint}`.trim());
    } finally {
      this.button.disabled = false;
    }
  }

  #failure(found) {
    const { title, advice } = troubleOf(found.error);
    const exactly = h("p", { class: "small soft" }, title ? `Exactly: ${found.message} ` : "", h("code", {}, found.error));
    const box = h("div", { class: "note", "data-tone": "bad" }, h("strong", {}, title ?? found.message), h("p", {}, advice ?? found.hint), exactly);
    if (found.error.startsWith("ui_home")) this.#askHome();
    if (found.error === "no_ssh_key" || found.error === "authentication_failed") {
      const keys = h("div", { class: "stack" });
      box.append(keys);
      offerKeys(keys);
    }
    if (found.error === "host_key_mismatch") box.append(this.#keyQuestion());
    return box;
  }

  #askHome() {
    this.home.closest("details").open = true;
    this.home.focus();
  }

  #keyQuestion() {
    const accept = async () => {
      const shown = await api("/host-keys/scan", { body: { ssh_connection: this.command }, timeout: 60000 });
      await api("/host-keys/accept", { body: { ssh_connection: this.command, sha256: shown.host_key.sha256 }, timeout: 60000 });
      await this.test();
    };
    return h("p", { class: "row" }, h("button", { type: "button", class: "danger", onclick: () => accept().catch((error) => this.wrong(error.message)) }, "It is a new machine: trust its key"));
  }
}

function machine(found) {
  const gpu = (found.gpu ?? []).map((card) => `${card.name}, ${Math.round(card.memory_mib / 1024)} GB`).join("; ");
  const torch = found.torch ? `${found.torch.version}${found.torch.cuda_available ? ", CUDA works" : ", without CUDA"}` : found.torch_error ?? "none";
  const facts = {
    "GPU": gpu || "none seen", "ComfyUI": `${found.ui_home}${found.comfyui_running ? " (running)" : ""}`, "Python": found.interpreter ?? "not found",
    "torch": torch, "Free disk": bytes(found.disk_free_bytes), "Host key": found.host_key.sha256,
  };
  const list = h("dl", { class: "facts" }, Object.entries(facts).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  const warnings = [...(found.warnings ?? [])];
  if (found.provisioning?.length) warnings.push(`The image is still setting the machine up (${found.provisioning.join(", ")}).`);
  return h("div", { class: "stack" }, h("p", { class: "note", "data-tone": "good" }, h("strong", {}, "Connected."), `to ${found.endpoint}`), list, warnings.map((text) => h("p", { class: "note", "data-tone": "warn" }, text)));
}
