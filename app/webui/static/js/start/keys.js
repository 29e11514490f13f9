/** The SSH keys of the computer that Nodeferry runs on: a new one, the public parts to copy, and where to paste them. */

import { api } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { isOff, setOff } from "../core/focus.js";
import { word } from "../core/words.js";

/** Fills `place`: the public keys that there are, or a button that makes one. */
export async function offerKeys(place) {
  try {
    const { ssh_keys: keys, where_to_paste: where } = await api("/ssh-keys");
    const usable = keys.filter((key) => key.source !== "public");
    place.replaceChildren(...(usable.length ? publicKeys(usable, where) : [maker(place)]));
  } catch (error) {
    place.replaceChildren(h("p", {}, error.message));
  }
}

function maker(place) {
  const button = h("button", { type: "button", class: "primary", "data-writes": true }, word("start.keys_make"));
  const said = h("p", { class: "small soft", role: "status" }, word("start.keys_where"));
  button.addEventListener("click", async () => {
    if (isOff(button)) return;
    setOff(button, true);
    try {
      const { ssh_key: key, where_to_paste: where } = await api("/ssh-keys", { body: {} });
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
