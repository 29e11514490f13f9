/** The SSH command, and what the machine behind it is. It is tested when it is pasted, and after typing with Enter or when
 *  the field is left; one test at a time, and what an older one says is dropped. */

import { api } from "../core/api.js";
import { h, setAttribute, setHidden, setText } from "../core/dom.js";
import { keepFocus } from "../core/focus.js";
import { icon } from "../core/icons.js";
import { recall, remember } from "../core/memory.js";
import { word } from "../core/words.js";
import { keyQuestion } from "./host-key.js";
import { offerKeys } from "./keys.js";
import { machineLine, shortName } from "./machine.js";
import { MAY_COME, troubleOf } from "./trouble.js";

const PASTE_MS = 150;
const LEFT_MS = 250; // a click elsewhere has come to its end by then: the page may move
const HOMES = "homes";
const MOST_HOMES = 12;
const MOST_OFFERED = 4;
const NEEDS_KEY = new Set(["no_ssh_key", "authentication_failed"]);

export class Connection {
  /** `changed()` is called whenever it is another address, or more is known of it. */
  constructor(changed) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { changed, field: get("ssh"), error: get("ssh-error"), place: get("tested"), button: get("test"), home: get("ui-home"), homes: get("homes") });
    Object.assign(this, { state: "empty", found: null, running: null, tested: "", why: "", offered: false });
    this.button.addEventListener("click", () => this.test());
    this.field.addEventListener("input", (event) => this.#edited(event));
    this.field.addEventListener("keydown", (event) => this.#enter(event));
    this.field.addEventListener("blur", () => this.#left());
    this.home.addEventListener("change", () => this.#left());
    this.homes.addEventListener("change", (event) => this.#chose(event.target.value));
    this.#offerKnown(get("known-list"));
  }

  get command() {
    return this.field.value.trim();
  }

  get uiHome() {
    return this.home.value.trim() || null;
  }

  /** What people call the machine. */
  get name() {
    return this.found?.endpoint ? shortName(this.found.endpoint) : nameIn(this.command);
  }

  /** `ready`, `waiting` (it may come up later), or what has to be done first: `empty`, `testing`, `key`, `home`, `trouble`. */
  get standing() {
    return this.command ? this.state : "empty";
  }

  /** Puts an address into the field, and tests it. */
  use(command, home = recall(HOMES, {})[command] ?? "") {
    this.field.value = command;
    this.home.value = home;
    return this.test();
  }

  wrong(text) {
    setText(this.error, text);
    setHidden(this.error, !text);
    setAttribute(this.field, "aria-invalid", text ? "true" : null);
  }

  /** Keeps which ComfyUI goes with this address. */
  remember() {
    const kept = Object.entries(recall(HOMES, {})).filter(([command]) => command !== this.command);
    if (this.uiHome) kept.push([this.command, this.uiHome]);
    remember(HOMES, Object.fromEntries(kept.slice(-MOST_HOMES)));
  }

  async test(said = "") {
    clearTimeout(this.timer);
    this.running?.abort();
    this.wrong("");
    if (!this.command) return this.#forget();
    const mine = (this.running = new AbortController());
    this.tested = this.#asked();
    this.#show("testing", [h("p", { class: "badge", "data-tone": "live" }, icon("working"), h("span", {}, word("start.testing")))]);
    try {
      const body = { ssh_connection: this.command, ui_home: this.uiHome, first_contact: "ask" };
      const found = await api("/ssh/test", { body, timeout: 130000, signal: mine.signal });
      if (mine === this.running) this.#answered(found, said);
    } catch (error) {
      if (mine === this.running) this.#refused(error);
    }
  }

  #asked() {
    return `${this.command}\n${this.uiHome ?? ""}`;
  }

  #edited(event) {
    this.running?.abort();
    this.running = null;
    clearTimeout(this.timer);
    this.wrong("");
    this.#forget();
    if (event.inputType === "insertFromPaste" || event.inputType === "insertFromDrop") this.#soon(PASTE_MS);
  }

  #soon(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.test(), milliseconds);
  }

  #enter(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    this.test();
  }

  #left() {
    if (!this.command || this.tested === this.#asked()) return;
    this.state = "untested";
    this.#soon(LEFT_MS);
    this.changed();
  }

  #forget() {
    Object.assign(this, { found: null, tested: "", why: "" });
    setHidden(this.homes, true);
    this.#show(this.command ? "untested" : "empty", []);
  }

  /** What stands below the field. Whoever had the focus in it keeps his place on the page. */
  #show(state, nodes) {
    this.state = state;
    keepFocus(() => this.#put(state, nodes), () => this.place);
    this.changed();
  }

  #put(state, nodes) {
    this.place.style.minHeight = state === "testing" ? `${this.place.offsetHeight}px` : "";
    this.place.replaceChildren(...nodes);
    setHidden(document.getElementById("known"), !this.offered || state !== "empty");
    setHidden(document.getElementById("ssh-hint"), !["empty", "untested"].includes(state));
    setHidden(this.button, !["ready", "waiting", "trouble"].includes(state));
  }

  #answered(found, said) {
    if (!found.success) return this.#failed(found, said);
    this.found = found;
    this.#offerHomes(found.ui_homes, found.ui_home);
    this.#show("ready", machineLine(found));
  }

  #failed(found, said) {
    this.found = null;
    if (found.host_key) return this.#askAboutKey(found, said);
    const trouble = troubleOf(found);
    this.why = trouble.title;
    this.#offerHomes(found.ui_homes ?? [], this.uiHome);
    if (found.ui_homes?.length) return this.#show("home", []);
    const box = h("div", { class: "note", "data-tone": NEEDS_KEY.has(found.error) ? "live" : MAY_COME.has(found.error) ? "warn" : "bad" }, h("strong", {}, trouble.title), trouble.advice ? h("p", {}, trouble.advice) : null);
    if (NEEDS_KEY.has(found.error)) this.#withKeys(box, found, trouble.title);
    if (found.error === "ui_home_not_found") box.append(this.#toFolder());
    if (trouble.exactly) box.append(h("details", { class: "small soft" }, h("summary", {}, word("start.details")), h("p", {}, trouble.exactly)));
    this.#show(MAY_COME.has(found.error) ? "waiting" : "trouble", [box]);
    if (found.error.startsWith("ui_home") && this.uiHome) document.getElementById("options").open = true;
  }

  async #withKeys(box, found, title) {
    const keys = h("div", { class: "stack" });
    box.append(keys);
    const others = await offerKeys(keys, found, { command: this.command, use: (command) => this.use(command) });
    if (!others || title !== word("start.trouble_no_ssh_key") || !box.isConnected) return;
    this.why = word("start.keys_unnamed");
    setText(box.querySelector("strong"), this.why);
    setText(box.querySelector("p"), word("start.keys_unnamed_do"));
    this.changed();
  }

  /** The field is below a long list, and folded. */
  #toFolder() {
    const show = () => {
      document.getElementById("options").open = true;
      this.home.focus();
    };
    return h("p", { class: "row" }, h("button", { type: "button", class: "small", onclick: show }, word("start.home_give")));
  }

  #askAboutKey(found, said) {
    const answered = (refused, again = "") => (refused === null ? this.test(again) : this.#show("trouble", [h("p", { class: "badge", "data-tone": "warn" }, icon("problem"), h("span", {}, refused))]));
    this.why = word("start.wait_key");
    setHidden(this.homes, true);
    this.#show("key", [said ? h("p", { class: "field-error", role: "alert" }, said) : null, keyQuestion(this.command, found, answered)].filter(Boolean));
  }

  /** The service did not even try. */
  #refused(error) {
    const text = `${error.message} ${error.hint}`.trim();
    this.why = error.message;
    this.#show("trouble", []);
    if (error.field === "ui_home") this.wrongHome(text);
    else this.wrong(text);
  }

  wrongHome(text) {
    const place = document.getElementById("ui-home-error");
    setText(place, text);
    setHidden(place, !text);
    setAttribute(this.home, "aria-invalid", text ? "true" : null);
    if (text) document.getElementById("options").open = true;
  }

  #offerHomes(found, chosen) {
    setHidden(this.homes, found.length < 2);
    this.wrongHome("");
    const key = JSON.stringify(found);
    if (this.homes.dataset.key !== key) {
      this.homes.dataset.key = key;
      this.homes.replaceChildren(h("legend", {}, word("start.homes", { n: found.length })), ...found.map(homeChoice));
    }
    for (const radio of this.homes.querySelectorAll("input")) radio.checked = radio.value === chosen;
  }

  /** The button goes away with the field's emptiness, so the field has the focus from then on. */
  #useKnown(command) {
    this.field.focus();
    this.use(command);
  }

  #chose(path) {
    this.home.value = path;
    this.test();
  }

  /** The machines that the service remembers; without an answer there is nothing to offer. */
  async #offerKnown(list) {
    const { instances } = await api("/instances").catch(() => ({ instances: [] }));
    const known = instances.filter(({ ssh_connection: text }) => text).slice(0, MOST_OFFERED);
    this.offered = known.length > 0;
    setHidden(document.getElementById("known"), !this.offered || this.state !== "empty");
    list.append(...known.map(({ name, ssh_connection: text }) => h("button", { type: "button", class: "chip mono", title: text, onclick: () => this.#useKnown(text) }, name)));
  }
}

const homeChoice = ({ path, running }) => h("label", { class: "check" }, h("input", { type: "radio", name: "home", value: path }), h("span", {}, h("span", { class: "mono wrap-anywhere" }, path), h("span", { class: "soft" }, ` ${word(running ? "start.home_runs" : "start.home_stopped")}`)));

/** The machine's name in a command that was not tested: as well as it can be seen. */
function nameIn(command) {
  const port = /(?:^|\s)-p\s*(\d+)/.exec(command)?.[1] ?? /:(\d+)(?:\s|$)/.exec(command)?.[1];
  const host = /(?:^|\s|\/\/)(?:[\w.+-]+@)?((?:[\w-]+\.)+[\w-]+|localhost)(?=[\s:/]|$)/.exec(command)?.[1];
  return host ? shortName(`${host}${port ? `:${port}` : ""}`) : command.slice(0, 40);
}
