/** Many SSH commands, one recipe. */

import { api } from "../core/api.js";
import { h, setAttribute, setHidden, setText } from "../core/dom.js";
import { setOff } from "../core/focus.js";
import { recall, remember } from "../core/memory.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { Recipe } from "../start/recipe.js";

const get = (id) => document.getElementById(id);
const KEPT = "fleet-commands";
const MOST_OFFERED = 6;
const MOST_KEPT = 120000;

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
  const limits = { at_once: Number(get("at-once").value) || null, per_host: Number(get("per-host").value) || null };
  return { limits, ssh_connections: typed().map(({ text }) => text), ui_home: get("ui-home").value.trim() || null, manifest: recipe.chosen ?? null, options };
}

/** The service's words, with the line in place of the position in the request. */
function refused(error) {
  const text = `${error.message} ${error.hint}`.trim();
  const place = /^ssh_connections\[(\d+)\]/.exec(error.field ?? "");
  if (!place) return wrong(error.field === "ui_home" ? "ui-home-error" : "go-error", text);
  const lineOf = (index) => typed()[index]?.line;
  const inLines = ({ field, message }) => {
    const said = message.replace(/ssh_connections\[(\d+)\]/g, (_, index) => word("lists.line", { n: lineOf(index) }));
    const [, index] = /^ssh_connections\[(\d+)\]/.exec(field);
    return said === message ? `${word("lists.line", { n: lineOf(index) })}: ${message}` : said;
  };
  wrong("commands-error", error.wrongEntries.length ? error.wrongEntries.map(inLines).join("\n") : inLines({ field: error.field, message: text }));
  setAttribute(get("commands"), "aria-invalid", "true");
  get("commands").focus();
}

/** Machines that are remembered and not typed yet: a click adds one. */
async function offer(changed) {
  const { instances } = await api("/instances");
  const add = (machine, chip) => {
    get("commands").value = `${get("commands").value.trimEnd()}\n${machine.ssh_connection}\n`.trimStart();
    chip.remove();
    setHidden(get("offered"), !get("offered-list").children.length);
    changed();
  };
  const there = new Set(typed().map(({ text }) => text));
  const wanted = instances.filter(({ ssh_connection: text }) => text && !there.has(text)).slice(0, MOST_OFFERED);
  get("offered-list").replaceChildren(...wanted.map((machine) => {
    const chip = h("button", { type: "button", class: "chip", title: machine.ssh_connection, onclick: () => add(machine, chip) }, machine.name);
    return chip;
  }));
  setHidden(get("offered"), !wanted.length);
}

export function startFleetForm() {
  let recipe = null;
  let starting = false;

  function refresh() {
    if (!recipe) return;
    const machines = typed().length;
    const why = !machines ? word("lists.machines_first") : recipe.ready ? "" : recipe.words;
    setText(get("commands-count"), machines ? word("common.machines", { n: machines }) : "");
    setText(get("go-hint"), why || word("lists.foot", { what: recipe.what, machines: word("common.machines", { n: machines }) }));
    setText(get("go"), word(starting ? "start.starting" : "start.install"));
    get("go").disabled = Boolean(why);
    setOff(get("go"), starting);
  }

  function typing() {
    wrong("commands-error", "");
    setAttribute(get("commands"), "aria-invalid", null);
    refresh();
  }

  async function start() {
    for (const id of ["commands-error", "ui-home-error", "go-error"]) wrong(id, "");
    starting = true;
    refresh();
    try {
      const { fleet_id: id } = await api("/fleet/install-custom-nodes", { body: request(recipe) });
      remember(KEPT, get("commands").value.slice(0, MOST_KEPT));
      recipe.remember();
      location.assign(at(`/ui/fleet/${id}`));
    } catch (error) {
      refused(error);
    } finally {
      starting = false;
      refresh();
    }
  }

  recipe = new Recipe(refresh);
  get("commands").value = recall(KEPT, "");
  get("commands").addEventListener("input", typing);
  get("fleet-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!get("go").disabled && !starting) start();
  });
  refresh();
  offer(typing).catch(() => {}); // they can be typed
}
