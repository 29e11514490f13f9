/** One machine: what it is, how its last run went, where its ComfyUI is, which host key is kept. */

import { h, setAttribute, setHidden, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { ago, exactly, when } from "../core/format.js";
import { icon } from "../core/icons.js";
import { at } from "../core/place.js";
import { toast } from "../core/toast.js";
import { word } from "../core/words.js";
import { openMenu } from "./menu.js";
import { showState, stateIcon } from "./state.js";

const NEVER = { kind: "never", tone: "idle", sentence: word("lists.never") };
const SHORT = 12;
const parts = new WeakMap();

export const runsOf = (machine) => at(`/ui/runs?instance=${encodeURIComponent(machine.instance)}`);
const startAt = (machine) => at(`/?ssh=${encodeURIComponent(machine.ssh_connection)}`);

/** `itemsOf(machine)` gives the menu. */
export function makeMachine(machine, itemsOf) {
  const part = {
    machine,
    name: h("strong", { class: "machine-name cut" }),
    gpu: h("span", { class: "machine-sub cut" }),
    icon: stateIcon(),
    said: h("a", { class: "machine-said cut" }),
    when: h("time", { class: "machine-sub cut" }),
    folder: h("span", { class: "cut" }),
    packs: h("span", { class: "machine-sub cut" }),
    key: h("span", { class: "cut" }),
    since: h("span", { class: "machine-sub cut" }),
    copy: h("button", { type: "button", class: "btn ghost small" }, word("common.copy")),
    install: h("a", { class: "btn small" }, word("lists.install_here")),
    more: h("button", { type: "button", class: "btn ghost icon-only row-more", "aria-label": word("lists.machine_more", { machine: machine.name }), "aria-haspopup": "true", "aria-expanded": "false" }, icon("more")),
    wrong: h("p", { class: "field-error", role: "alert", hidden: true }),
  };
  part.copy.addEventListener("click", () => copyKey(part.machine));
  part.more.addEventListener("click", () => openMenu(part.more, itemsOf(part.machine)));
  const row = h("li", { class: "machine-row" },
    h("div", { class: "machine-what" }, part.name, part.gpu),
    h("div", { class: "machine-last" }, part.icon, h("div", {}, part.said, part.when)),
    h("div", { class: "machine-comfyui" }, part.folder, part.packs),
    h("div", { class: "machine-trust" }, h("span", { class: "machine-key-line" }, part.key, part.copy), part.since),
    h("div", { class: "machine-do" }, part.install, part.more), part.wrong);
  parts.set(row, part);
  return row;
}

export function updateMachine(row, machine) {
  const part = parts.get(row);
  part.machine = machine;
  setText(part.name, machine.name);
  setAttribute(part.name, "title", machine.ssh_connection);
  setText(part.gpu, machine.gpu || word("lists.no_gpu"));
  setText(part.folder, machine.ui_home || word("lists.no_folder"));
  setAttribute(part.folder, "title", machine.ui_home);
  part.folder.classList.toggle("mono", Boolean(machine.ui_home));
  setText(part.packs, machine.packs_known ? word("common.packs", { n: machine.packs_known }) : "");
  setAttribute(part.install, "href", startAt(machine));
  setAttribute(part.install, "aria-label", word("lists.install_here_on", { machine: machine.name }));
  updateLast(part, machine.last_run);
  updateKey(part, machine);
}

function updateLast(part, last) {
  const { sentence } = last?.summary ?? NEVER;
  showState(part.icon, last?.summary ?? NEVER);
  setText(part.said, sentence);
  setAttribute(part.said, "title", sentence);
  setAttribute(part.said, "href", last ? at(`/ui/run/${last.run_id}`) : null);
  setText(part.when, ago(last?.at));
  setAttribute(part.when, "title", exactly(last?.at) || null);
}

function updateKey(part, { name, host_key: key }) {
  setText(part.key, key ? `${typeOf(key)} ${key.sha256.replace(/^SHA256:/, "").slice(0, SHORT)}…` : word("lists.no_key"));
  setAttribute(part.key, "title", key ? key.sha256 : null);
  part.key.classList.toggle("mono", Boolean(key));
  setText(part.since, key?.first_seen_at ? word("lists.key_since", { when: when(key.first_seen_at) }) : "");
  setHidden(part.copy, !key);
  setAttribute(part.copy, "aria-label", word("lists.copy_key", { machine: name }));
}

/** What the service refused, beside the machine that it is about; it stays until the next try. */
export function setWrong(row, text) {
  const { wrong } = parts.get(row);
  setText(wrong, text);
  setHidden(wrong, !text);
}

const typeOf = ({ type }) => type.replace(/^ssh-/, "").replace(/^ecdsa-.*/, "ecdsa").toUpperCase();

async function copyKey({ host_key: key }) {
  toast(word((await copy(key.sha256)) ? "lists.copied_key" : "common.copy_by_hand"));
}
