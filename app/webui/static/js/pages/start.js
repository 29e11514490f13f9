/** The start page: paste an SSH command, choose what to install. */

import { api } from "../core/api.js";
import { setHidden, setText } from "../core/dom.js";
import { setOff } from "../core/focus.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";
import { lockOf, requestOf } from "../start/again.js";
import { Connection } from "../start/connection.js";
import { Options } from "../start/options.js";
import { Recipe } from "../start/recipe.js";

const get = (id) => document.getElementById(id);
const WAITS = { empty: "start.address_wanted", untested: "start.wait_test", testing: "start.wait_test", home: "start.wait_home", key: "start.wait_key" };
let connection = null;
let recipe = null;
let starting = false;

/** What stands in the way of an install, or "". */
function obstacle() {
  const { standing } = connection;
  if (standing in WAITS) return word(WAITS[standing]);
  if (standing === "trouble") return connection.why;
  return recipe.ready ? "" : recipe.words;
}

function refresh() {
  if (!recipe || !connection) return;
  const why = obstacle();
  const key = connection.standing === "waiting" ? "start.foot_waiting" : "start.foot";
  get("go").disabled = Boolean(why);
  setOff(get("go"), starting);
  setText(get("go-hint"), why || word(key, { what: recipe.what, machine: connection.name }));
  setText(get("go-warn"), recipe.warning);
  setHidden(get("go-warn"), Boolean(why) || !recipe.warning);
  setText(get("go"), word(starting ? "start.starting" : "start.install"));
  recipe.machine = connection.found && { command: connection.command, version: connection.found.comfyui_version };
  recipe.offer(connection.standing === "ready" ? connection.command : null);
}

function failed(text) {
  setText(get("go-error"), text);
  setHidden(get("go-error"), !text);
}

function refused(error) {
  const text = `${error.message} ${error.hint}`.trim();
  if (error.field === "ui_home") connection.wrongHome(text);
  failed(text);
}

async function start() {
  starting = true;
  failed("");
  refresh();
  try {
    const body = { ssh_connection: connection.command, ui_home: connection.uiHome, manifest: recipe.chosen ?? null, ...options.request(recipe.hasLock) };
    const { workflow_id: id } = await api("/workflow/start", { body });
    connection.remember();
    recipe.remember();
    location.assign(at(`/ui/run/${id}`));
  } catch (error) {
    refused(error);
  } finally {
    starting = false;
    refresh();
  }
}

/** `?from=RUN_ID` brings what that run installed, `?lock=TASK_ID` exactly what it left, `?ssh=` a machine,
 *  `?paste=` addresses to correct. */
async function asked() {
  const query = new URLSearchParams(location.search);
  if (query.get("ssh")) connection.use(query.get("ssh"));
  if (query.get("paste")) return recipe.paste(query.get("paste"));
  if (query.get("lock")) {
    const lock = await lockOf(query.get("lock"));
    return lock ? recipe.restore({ lock }, [], word("start.lock_label")) : recipe.wrong(word("start.from_missing"));
  }
  if (!query.get("from")) return;
  const request = await requestOf(query.get("from"));
  if (!request) return recipe.wrong(word("start.from_missing"));
  options.use(request.options);
  return recipe.restore(request.manifest, [], word(request.manifest ? "start.from_label" : "start.default_label"));
}

const options = new Options();
connection = new Connection(refresh);
recipe = new Recipe(refresh);
get("start").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!get("go").disabled && !starting) start();
});
refresh();
if (location.hash === "#options") get("options").open = true;
await asked();
