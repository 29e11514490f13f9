import { api } from "../core/api.js";
import { setHidden, setText } from "../core/dom.js";
import { remember, rememberInstance } from "../core/memory.js";
import { at } from "../core/place.js";
import { Connection } from "../start/connection.js";
import { Recipe } from "../start/recipe.js";

const get = (id) => document.getElementById(id);
const connection = new Connection();
const recipe = new Recipe(refresh);

function refresh() {
  get("go").disabled = !recipe.ready;
  setText(get("go-hint"), recipe.words);
}

function steps() {
  const wanted = ["test_ssh", "install_custom_nodes"];
  if (get("verify").checked) wanted.push("verify_dependencies");
  if (get("restart").checked) wanted.push("restart_comfyui");
  return wanted;
}

function request() {
  const options = { existing: get("existing").value, on_failure: get("on-failure").value, run_scripts: get("scripts").checked, ask: "ask" };
  if (recipe.hasLock && get("exact").checked) options.exact = true;
  return {
    ssh_connection: connection.command,
    ui_home: get("ui-home").value.trim() || null,
    manifest: recipe.chosen ?? null,
    options,
    steps: steps(),
    review_plan: get("review").value,
  };
}

const FIELDS = { ssh_connection: (text) => connection.wrong(text), ui_home: (text) => wrong("ui-home-error", text) };

function wrong(id, text) {
  setText(get(id), text);
  setHidden(get(id), !text);
}

get("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong("go-error", "");
  wrong("ui-home-error", "");
  if (!connection.command) return connection.wrong("Paste the SSH command of your machine.");
  get("go").disabled = true;
  try {
    const started = await api("/workflow/start", { body: request() });
    rememberInstance(connection.command);
    remember("recipe", { manifest: recipe.manifest, left: [...recipe.left], label: recipe.label || "The Auto-installer’s list" });
    location.assign(at(`/ui/workflow/${started.workflow_id}`));
  } catch (error) {
    const show = FIELDS[error.field] ?? ((text) => wrong("go-error", text));
    show(`${error.message} ${error.hint}`.trim());
    refresh();
  }
});

const asked = new URLSearchParams(location.search).get("ssh");
if (recipe.last) document.querySelector("[name=source][value=last]").click();
if (asked) connection.field.value = asked;
refresh();
