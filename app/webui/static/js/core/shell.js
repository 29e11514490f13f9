/** What every page does besides its own: the bar, its menu, the shortcuts. Joined into each page's script. */

import { logOut } from "./access.js";
import { } from "./banner.js";
import { startBar } from "./bar.js";
import { setHidden, setText } from "./dom.js";
import { showElsewhere } from "./elsewhere.js";
import { setIcon } from "./icons.js";
import { keys, showKeys } from "./keys.js";
import { attachMenu } from "./menu.js";
import { notifyState, switchNotify } from "./notify.js";
import { at } from "./place.js";
import { watchReadOnly } from "./read-only.js";
import { toast } from "./toast.js";
import { word } from "./words.js";

const get = (id) => document.getElementById(id);
const go = (path) => () => location.assign(at(path));

/** The field that finds things on this page. */
function search(event) {
  const field = [...document.querySelectorAll("main input[type=search]")].find((one) => one.checkVisibility());
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

function showWho({ detail: who }) {
  setHidden(get("bar-out"), !who.login_needed);
  setText(get("bar-out").querySelector("small"), who.name ? word("shell.logged_in_as", { name: who.name }) : "");
  setHidden(get("bar-read-only"), who.scope !== "read-only");
}

function showNotify() {
  const state = notifyState();
  setHidden(get("bar-notify").parentElement, state === "none");
  setIcon(get("bar-notify").querySelector("svg"), state === "on" ? "bell" : "bell-off");
  setText(get("bar-notify").querySelector("small"), word(`shell.notify_${state}`));
  get("bar-notify").setAttribute("aria-pressed", String(state === "on"));
}

async function changeNotify() {
  const state = await switchNotify(notifyState() !== "on");
  toast(word(`shell.notify_now_${state}`));
}

keys.register("?", "shell.key_help", showKeys);
keys.register("/", "shell.key_search", search);
keys.register("g s", "shell.key_start", go("/"));
keys.register("g r", "shell.key_runs", go("/ui/runs"));
keys.register("g m", "shell.key_machines", go("/ui/machines"));

attachMenu(get("bar-menu"), showNotify);
get("bar-keys").addEventListener("click", showKeys);
get("bar-notify").addEventListener("click", changeNotify);
get("bar-elsewhere").addEventListener("click", showElsewhere);
get("bar-out").querySelector("button").addEventListener("click", logOut);
addEventListener("nodeferry:who", showWho);
watchReadOnly();
startBar();
