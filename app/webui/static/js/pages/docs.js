/** The API's routes from the service's own specification, with a line of curl for each. */

import { api } from "../core/api.js";
import { showTrouble } from "../core/banner.js";
import { h, readable, setHidden, setText } from "../core/dom.js";
import { copy } from "../core/files.js";
import { count } from "../core/format.js";
import { origin } from "../core/place.js";

const get = (id) => document.getElementById(id);

function curl(method, path, operation) {
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
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {}) || "anything"}`;
  return schema.type ?? "";
}

function fields(operation, schemas) {
  const asked = operation.parameters.filter((one) => one.in === "query").map((one) => [`?${one.name}`, one.schema, one.required]);
  const name = operation.requestBody?.content["application/json"].schema.$ref.split("/").at(-1);
  const body = name ? schemas[name] : {};
  for (const [field, schema] of Object.entries(body.properties ?? {})) asked.push([field, schema, body.required?.includes(field)]);
  if (!asked.length) return null;
  return h("dl", { class: "fields" }, asked.map(([field, schema, needed]) => h("div", {}, h("dt", { class: "mono" }, field), h("dd", { class: "soft small" }, [typeOf(schema), needed ? "required" : ""].filter(Boolean).join(", ")))));
}

function route(method, path, operation, schemas) {
  const text = curl(method, path, operation);
  const button = h("button", { type: "button", class: "small", "aria-label": `Copy the curl line of ${method.toUpperCase()} ${path}` }, "Copy");
  button.addEventListener("click", async () => setText(button, (await copy(text)) ? "Copied" : "Not allowed"));
  return h("section", { class: "card stack route" },
    h("h2", {}, h("span", { class: "method", "data-method": method }, method.toUpperCase()), h("code", { class: "wrap-anywhere" }, path)),
    h("p", {}, operation.summary),
    h("div", { class: "with-copy" }, h("pre", { class: "log short", tabindex: "0" }, text), button),
    fields(operation, schemas));
}

function search() {
  const words = get("search").value.trim().toLowerCase();
  let shown = 0;
  for (const section of get("routes").children) {
    const here = section.textContent.toLowerCase().includes(words);
    setHidden(section, !here);
    shown += here;
  }
  setText(get("found"), count(shown, "route"));
}

try {
  const { paths, components } = await api("/openapi.json");
  const all = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => route(method, path, operation, components.schemas)));
  get("routes").replaceChildren(...all);
  get("search").addEventListener("input", search);
  search();
} catch (error) {
  get("routes").replaceChildren(h("p", { class: "note", "data-tone": "bad" }, h("strong", {}, error.message), readable(error.hint ?? "")));
  showTrouble(error);
}
