/** The SSH keys of the computer that Nodeferry runs on: a new one, the public parts to copy, and where to paste them. */

import { api } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { isOff, setOff } from "../core/focus.js";
import { word } from "../core/words.js";

const SECOND = "id_nodeferry"; // of a usual name, so that a login tries it

/** Fills `place`: why keys that are there are of no use, the public keys that a login tries, or a button that makes one.
 *  `found`: the failed test; `command`: its address; `use(command)` tests another one. Answers whether there are keys
 *  that a login tries only when it is told to. */
export async function offerKeys(place, found, { command, use }) {
  try {
    const { ssh_keys: keys, where_to_paste: where } = await api("/ssh-keys");
    const unusable = found.unusable_keys ?? [];
    const own = keys.filter((key) => key.source !== "public" && !unusable.some((text) => isAbout(text, key)));
    const tried = own.filter((key) => key.used || isNamed(command, key));
    const others = own.filter((key) => !tried.includes(key) && /^[\w./~-]+$/.test(key.path ?? " "));
    place.replaceChildren(...reasons(unusable), ...others.map((key) => other(key, command, use)), ...(tried.length ? publicKeys(tried, where) : [maker(place, keys)]));
    return others.length > 0;
  } catch (error) {
    place.replaceChildren(h("p", {}, error.message));
    return false;
  }
}

const isAbout = (text, key) => key.path && text.split(":")[0].endsWith(`/${key.name}`);
const isNamed = (command, key) => command.split(/\s+/).some((part) => part.endsWith(`/${key.name}`));
const reasons = (unusable) => (unusable.length ? [h("div", {}, h("p", {}, word("start.keys_unusable", { n: unusable.length })), h("ul", {}, unusable.map((text) => h("li", { class: "wrap-anywhere" }, text))))] : []);

/** A key with a name of its own, which a login tries only when the command says so. */
function other(key, command, use) {
  const button = h("button", { type: "button", class: "small", onclick: () => use(`${command} -i ${key.path}`) }, word("start.keys_try", { name: key.name }));
  return h("p", { class: "row" }, h("span", {}, word("start.keys_other", { name: key.name })), button);
}

function maker(place, keys) {
  const button = h("button", { type: "button", class: "primary", "data-writes": true }, word(keys.length ? "start.keys_make_other" : "start.keys_make"));
  const said = h("p", { class: "small soft", role: "status" }, word("start.keys_where"));
  button.addEventListener("click", async () => {
    if (isOff(button)) return;
    setOff(button, true);
    try {
      const { ssh_key: key, where_to_paste: where } = await api("/ssh-keys", { body: keys.length ? { name: SECOND } : {} });
      place.replaceChildren(h("p", { role: "status" }, word("start.keys_made", { path: key.path })), ...publicKeys([key], where));
      place.querySelector("button")?.focus();
    } catch (error) {
      setText(said, `${error.message} ${error.hint}`.trim());
      setOff(button, false);
    }
  });
  return h("div", { class: "stack" }, h("p", { class: "row" }, button), said);
}

function publicKeys(keys, where) {
  const places = where.map(({ provider, place, url }) => h("li", {}, h("a", { href: url, target: "_blank", rel: "noreferrer" }, provider), `: ${place}`));
  return [...keys.map(publicKey), h("p", {}, word("start.keys_paste")), h("ul", { class: "places" }, places)];
}

function publicKey(key) {
  const name = word("start.keys_public", { name: key.name });
  const button = h("button", { type: "button", class: "small" }, word("start.keys_copy"));
  button.addEventListener("click", async () => setText(button, word((await copy(key.public_key)) ? "start.keys_copied" : "start.keys_by_hand")));
  return h("div", { class: "public-key" }, h("p", { class: "row between" }, h("strong", {}, name), button), h("pre", { tabindex: "0", "aria-label": name, role: "region" }, key.public_key));
}
