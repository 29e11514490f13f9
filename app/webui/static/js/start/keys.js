/** The SSH keys of the computer that Nodeferry runs on: a new one, the public parts to copy, and where to paste them. */

import { api } from "../core/api.js";
import { h, setText } from "../core/dom.js";
import { copy } from "../core/files.js";

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
  const button = h("button", { type: "button", class: "primary" }, "Make an SSH key");
  const said = h("p", { class: "small soft", role: "status" }, "A new file in ~/.ssh of the computer that Nodeferry runs on. Nothing is overwritten.");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { ssh_key: key, where_to_paste: where } = await api("/ssh-keys", { body: {} });
      place.replaceChildren(h("p", { role: "status" }, `${key.path} was made.`), ...publicKeys([key], where));
    } catch (error) {
      setText(said, `${error.message} ${error.hint}`.trim());
      button.disabled = false;
    }
  });
  return h("div", { class: "stack" }, h("p", { class: "row" }, button), said);
}

function publicKeys(keys, where) {
  const lines = keys.map((key) => {
    const button = h("button", { type: "button", class: "small" }, "Copy");
    button.addEventListener("click", async () => {
      button.textContent = (await copy(key.public_key)) ? "Copied" : "Mark it and copy it by hand";
    });
    return h("div", { class: "stack" }, h("p", { class: "row" }, h("strong", {}, `Public key ${key.name}`), button), h("pre", { class: "log", tabindex: "0", "aria-label": `Public key ${key.name}` }, key.public_key));
  });
  const places = where.map(({ provider, place, url }) => h("li", {}, h("a", { href: url, target: "_blank", rel: "noreferrer" }, provider), `: ${place}`));
  return [...lines, h("p", {}, "Paste it at your provider, then test the connection again:"), h("ul", {}, places)];
}
