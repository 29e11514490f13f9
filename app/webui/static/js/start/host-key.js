/** The question about a machine's host key. What is trusted is the very key that is shown here: the service compares its
 *  fingerprint with the one that the machine has then. */

import { api } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { isOff, setOff } from "../core/focus.js";
import { when } from "../core/format.js";
import { word } from "../core/words.js";

const TITLES = { new: () => word("start.key_new_title"), jump: () => word("start.key_jump_title"), changed: () => word("start.key_changed_title") };
const TEXTS = { new: () => word("start.key_new"), jump: ({ host }) => word("start.key_jump", { host }), changed: () => word("start.key_changed") };
const TRUSTS = { new: () => word("start.key_trust_new"), jump: () => word("start.key_trust_jump"), changed: () => word("start.key_trust_changed") };

/** `found`: a failed test with `host_key` and `known_host_keys`. `answered(message)` is called after an answer: with null
 *  when the key is trusted now, else with what is to be said. Nothing here takes the focus. */
export function keyQuestion(command, found, answered) {
  const kind = !found.known_host_keys.length ? "new" : found.is_jump_host ? "jump" : "changed";
  const isNew = kind === "new";
  const error = h("p", { class: "field-error", role: "alert" });
  const trust = h("button", { type: "button", "data-writes": true }, TRUSTS[kind]());
  const refuse = h("button", { type: "button", onclick: () => answered(word("start.key_refused")) }, word("start.key_refuse"));
  trust.addEventListener("click", async () => {
    if (isOff(trust)) return;
    setOff(trust, true);
    try {
      await api("/host-keys/accept", { body: { ssh_connection: command, sha256: found.host_key.sha256 }, timeout: 60000 });
      answered(null);
    } catch (problem) {
      if (problem.code === "host_key_mismatch") return answered(null, word("start.key_changed_again"));
      setText(error, `${problem.message} ${problem.hint}`.trim());
      setOff(trust, false);
    }
  });
  const title = h("h3", { id: "key-question" }, TITLES[kind]());
  const keys = h("dl", { class: "keys" }, ...machine(found.host_key), ...found.known_host_keys.map(known), row(word("start.key_now"), found.host_key));
  const order = isNew ? [trust, refuse] : [refuse, trust];
  return h("div", { class: "note stack", "data-tone": isNew ? "live" : "warn", role: "group", "aria-labelledby": "key-question" }, title, h("p", {}, TEXTS[kind](found.host_key)), keys, h("div", { class: "row" }, order), error);
}

/** Whose key it is: a jump host on the way is asked about too. */
const machine = ({ host, port }) => [h("div", {}, h("dt", {}, word("start.key_host")), h("dd", { class: "mono wrap-anywhere" }, `${host}:${port}`))];
const row = (name, key) => h("div", {}, h("dt", {}, name), h("dd", { class: "mono wrap-anywhere" }, `${key.key_type} ${key.sha256}`));

function known(key) {
  return row(key.added_at ? word("start.key_before", { when: when(key.added_at) }) : word("start.key_from_file", { file: key.source }), key);
}
