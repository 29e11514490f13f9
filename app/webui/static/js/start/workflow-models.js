/** The models of a workflow: the file, the folder for it, and where it is to be had. */

import { h, setHidden, setText } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { word } from "../core/words.js";

/** `view`: with `models`, `modelsCount` and `rows`. */
export function fillModels({ models: box, modelsCount: said, rows }, { models, files }) {
  setHidden(box, !models.length);
  const size = files.reduce((sum, each) => sum + (each.models_size ?? 0), 0);
  setText(said, [word("workflow.models", { n: models.length }), size ? word("workflow.models_size", { size: bytes(size) }) : ""].filter(Boolean).join(" "));
  rows.replaceChildren(...models.map(row));
}

function row({ name, folder, url, runs }) {
  const host = url ? new URL(url).host : null;
  const from = host ? h("a", { href: url, rel: "noreferrer", target: "_blank" }, host) : h("span", { class: "soft" }, word("workflow.model_no_url"));
  const place = h("span", { class: folder ? "mono" : "soft" }, folder ? `models/${folder}` : word("workflow.model_no_folder"));
  return h("li", {}, h("b", { class: "wrap-anywhere" }, name, runs ? null : h("span", { class: "soft" }, ` (${word("workflow.model_unused")})`)), place, from);
}
