/** The API's routes from the service's own specification, a line each; open, with its fields and a command line for it. */

import { api } from "../core/api.js";
import { h, readable, setHidden, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { origin } from "../core/place.js";
import { toast } from "../core/toast.js";
import { word } from "../core/words.js";

const get = (id) => document.getElementById(id);
const MOST_OPEN = 3;

function commandOf(method, path, operation) {
  const example = operation.requestBody?.content["application/json"].example;
  const how = { get: "", post: example ? "" : "-X POST ", delete: "-X DELETE " }[method] ?? "";
  const token = operation.security?.length ? ' -H "Authorization: Bearer $NODEFERRY_TOKEN"' : "";
  const sent = example ? ` \\\n     -H 'Content-Type: application/json' \\\n     -d '${JSON.stringify(example)}'` : "";
  const place = path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  return `curl -s ${how}${origin}${place}${token}${sent}`;
}

function typeOf(schema) {
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map(typeOf).filter((name) => name !== "null").join(" | ");
  if (schema.type === "array") return word("shell.docs_list", { of: typeOf(schema.items ?? {}) || word("shell.docs_anything") });
  return schema.type ?? "";
}

function fields(operation, schemas) {
  const asked = operation.parameters.filter((one) => one.in === "query").map((one) => [`?${one.name}`, one.schema, one.required]);
  const name = operation.requestBody?.content["application/json"].schema.$ref.split("/").at(-1);
  const body = name ? schemas[name] : {};
  for (const [field, schema] of Object.entries(body.properties ?? {})) asked.push([field, schema, body.required?.includes(field)]);
  if (!asked.length) return null;
  return h("dl", { class: "facts" }, asked.map(([field, schema, needed]) =>
    h("div", {}, h("dt", { class: "mono" }, field), h("dd", { class: "soft small" }, [typeOf(schema), needed ? word("shell.docs_needed") : ""].filter(Boolean).join(", ")))));
}

function more(method, path, operation, schemas) {
  const text = commandOf(method, path, operation);
  const button = h("button", { type: "button", class: "btn small", "aria-label": word("shell.docs_copy", { route: `${method.toUpperCase()} ${path}` }) }, word("common.copy"));
  button.addEventListener("click", async () => toast(word((await copy(text)) ? "common.copied" : "common.copy_by_hand")));
  return h("div", { class: "stack route-more" }, h("div", { class: "with-copy" }, h("pre", { class: "log short", tabindex: "0" }, text), button), fields(operation, schemas));
}

function route(method, path, operation, schemas) {
  const line = h("summary", { class: "line" }, h("span", { class: "method", "data-method": method }, method.toUpperCase()), h("code", { class: "wrap-anywhere" }, path), h("span", { class: "soft cut grow" }, operation.summary));
  const node = h("details", { class: "route" }, line);
  node.addEventListener("toggle", () => node.open && node.children.length === 1 && node.append(more(method, path, operation, schemas)));
  return node;
}

function search() {
  const words = get("search").value.trim().toLowerCase();
  const shown = [...get("routes").children].filter((node) => {
    const fits = node.firstElementChild.textContent.toLowerCase().includes(words);
    setHidden(node, !fits);
    return fits;
  });
  for (const node of get("routes").children) node.open = Boolean(words) && shown.length <= MOST_OPEN && shown.includes(node);
  setText(get("found"), word("shell.docs_routes", { n: shown.length }));
}

try {
  const { paths, components } = await api("/openapi.json");
  const all = Object.entries(paths).toSorted().flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => route(method, path, operation, components.schemas)));
  get("routes").replaceChildren(...all);
  get("search").addEventListener("input", search);
  search();
} catch (error) {
  get("routes").replaceChildren(h("p", { class: "note", "data-tone": "bad" }, h("strong", {}, error.message), readable(error.hint ?? "")));
}
