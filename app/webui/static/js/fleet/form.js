/** Many SSH commands, one recipe. */

import { api } from "../core/api.js";
import { showTrouble } from "../core/banner.js";
import { setAttribute, setHidden, setText } from "../core/dom.js";
import { count } from "../core/format.js";
import { recall, remember } from "../core/memory.js";
import { at } from "../core/place.js";
import { Recipe } from "../start/recipe.js";
import { showEarlier } from "./earlier.js";

const get = (id) => document.getElementById(id);
const KEPT = "fleet-commands";

/** What was typed: the commands, and the line that each stands in. Empty lines and those that begin with # are left out. */
function typed() {
  const lines = get("commands").value.split("\n").map((text, index) => ({ text: text.trim(), line: index + 1 }));
  return lines.filter(({ text }) => text && !text.startsWith("#"));
}

function wrong(id, text) {
  setText(get(id), text);
  setHidden(get(id), !text);
}

function request(recipe) {
  const options = { existing: get("existing").value, on_failure: get("on-failure").value, auto_retry: Number(get("auto-retry").value),
    run_scripts: get("scripts").checked, verify: get("verify").checked, restart: get("restart").checked, ask: "ask" };
  if (recipe.hasLock && get("exact").checked) options.exact = true;
  return { ssh_connections: typed().map(({ text }) => text), ui_home: get("ui-home").value.trim() || null, manifest: recipe.chosen ?? null, options };
}

/** The service's words, with the line in place of the position in the request. */
function refused(error) {
  const text = `${error.message} ${error.hint}`.trim();
  const place = /^ssh_connections\[(\d+)\]/.exec(error.field ?? "");
  if (place) {
    const said = text.replace(/ssh_connections\[(\d+)\]/g, (_, index) => `line ${typed()[index]?.line}`);
    wrong("commands-error", said === text ? `Line ${typed()[place[1]]?.line}: ${text}` : said.replace(/^l/, "L"));
    setAttribute(get("commands"), "aria-invalid", "true");
    get("commands").focus();
  } else wrong(error.field === "ui_home" ? "ui-home-error" : "go-error", text);
}

export function startFleetForm() {
  const recipe = new Recipe(() => refresh());
  function refresh() {
    const machines = typed().length;
    setText(get("commands-count"), machines ? count(machines, "machine") : "No machine yet.");
    get("go").disabled = !recipe.ready || !machines;
    setText(get("go-hint"), !machines ? "Paste the machines’ SSH commands first." : recipe.words);
    setText(get("go"), machines > 1 ? `Install on all ${machines}` : "Install on all");
  }
  get("commands").value = recall(KEPT, "");
  get("commands").addEventListener("input", () => {
    wrong("commands-error", "");
    setAttribute(get("commands"), "aria-invalid", null);
    refresh();
  });
  get("fleet-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (get("go").disabled) return;
    for (const id of ["commands-error", "ui-home-error", "go-error"]) wrong(id, "");
    get("go").disabled = true;
    try {
      const { fleet_id: id } = await api("/fleet/install-custom-nodes", { body: request(recipe) });
      remember(KEPT, get("commands").value.slice(0, 20000));
      remember("recipe", { manifest: recipe.manifest, left: [...recipe.left], label: recipe.label || "The Auto-installer’s list" });
      location.assign(at(`/ui/fleet/${id}`));
    } catch (error) {
      refused(error);
      refresh();
    }
  });
  refresh();
  showEarlier().catch(showTrouble);
}
