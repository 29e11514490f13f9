/** One machine: what it is, how its last run went, where its ComfyUI is, which host key is kept. */

import { announce, h, setAttribute, setHidden, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { when } from "../core/format.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { timeNode, updateTime } from "./ago.js";
import { openMenu } from "./menu.js";
import { sign, updateSign } from "./sign.js";

const NEVER = { kind: "planned", tone: "idle", sentence: word("lists.never") };
const SHORT = 12;
const parts = new WeakMap();

export const runsOf = (machine) => at(`/ui/runs?instance=${encodeURIComponent(machine.instance_id)}`);
const startAt = (machine) => at(`/?ssh=${encodeURIComponent(machine.ssh_connection)}`);

/** `itemsOf(machine)` gives the menu. */
export function makeMachine(machine, itemsOf) {
  const part = {
    machine,
    name: h("strong", { class: "machine-name" }),
    gpu: h("span", { class: "machine-sub" }),
    sign: sign(NEVER),
    said: h("a", { class: "machine-said" }),
    when: timeNode("machine-sub"),
    folder: h("span", { class: "machine-folder mono" }),
    packs: h("span", { class: "machine-sub" }),
    key: h("span", { class: "machine-key mono" }),
    since: h("span", { class: "machine-sub" }),
    copy: h("button", { type: "button", class: "plain copy" }, word("lists.copy")),
    install: h("a", { class: "button small" }, word("lists.install_here")),
    wrong: h("p", { class: "field-error", role: "alert", hidden: true }),
  };
  part.copy.addEventListener("click", () => copyKey(part));
  const more = h("button", { type: "button", class: "row-more", "aria-label": word("lists.machine_more", { machine: machine.name }), "aria-haspopup": "menu", "aria-expanded": "false" }, "⋯");
  more.addEventListener("click", () => openMenu(more, itemsOf(part.machine)));
  const row = h("li", { class: "machine-row" },
    h("div", { class: "machine-what" }, part.name, part.gpu),
    h("div", { class: "machine-last" }, part.sign, h("div", {}, part.said, part.when)),
    h("div", { class: "machine-comfyui" }, part.folder, part.packs),
    h("div", { class: "machine-trust" }, h("span", { class: "machine-key-line" }, part.key, part.copy), part.since),
    h("div", { class: "machine-do" }, part.install, more), part.wrong);
  parts.set(row, part);
  return row;
}

export function updateMachine(row, machine) {
  const part = parts.get(row);
  part.machine = machine;
  const { last_run: last, host_key: key, packs_known: packs } = machine;
  setText(part.name, machine.name);
  setAttribute(part.name, "title", machine.ssh_connection);
  setText(part.gpu, machine.gpu || word("lists.no_gpu"));
  updateSign(part.sign, last?.summary ?? NEVER);
  setText(part.said, last?.summary.sentence ?? NEVER.sentence);
  setAttribute(part.said, "title", last?.summary.sentence ?? null);
  setAttribute(part.said, "href", last ? at(`/ui/run/${last.run_id}`) : null);
  updateTime(part.when, last?.at);
  setText(part.folder, machine.ui_home || word("lists.no_folder"));
  setAttribute(part.folder, "title", machine.ui_home);
  setText(part.packs, packs ? word("lists.packs_known", { n: packs }) : "");
  setText(part.key, key ? `${typeOf(key)} ${shortOf(key)}` : word("lists.no_key"));
  setAttribute(part.key, "title", key ? key.sha256 : null);
  setText(part.since, key?.first_seen_at ? word("lists.key_since", { when: when(key.first_seen_at) }) : "");
  setHidden(part.copy, !key);
  setAttribute(part.copy, "aria-label", word("lists.copy_key", { machine: machine.name }));
  setAttribute(part.install, "href", startAt(machine));
  setAttribute(part.install, "aria-label", word("lists.install_here_on", { machine: machine.name }));
}

/** What the service refused, beside the machine that it is about; it stays until the next try. */
export function setWrong(row, text) {
  const { wrong } = parts.get(row);
  setText(wrong, text);
  setHidden(wrong, !text);
}

const typeOf = ({ type }) => type.replace(/^ssh-/, "").replace(/^ecdsa-.*/, "ecdsa").toUpperCase();
const shortOf = ({ sha256 }) => `${sha256.replace(/^SHA256:/, "").slice(0, SHORT)}…`;

async function copyKey({ machine, copy: button }) {
  if (!(await copy(machine.host_key.sha256))) return;
  setText(button, word("lists.copied"));
  announce(word("lists.copied_key"));
  setTimeout(() => setText(button, word("lists.copy")), 2000);
}
