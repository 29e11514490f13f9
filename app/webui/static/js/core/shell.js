/** What every page does besides its own: the bar, its menu, the shortcuts. Joined into each page's script. */

import { startBar } from "./bar.js";
import { keys, showKeys } from "./keys.js";
import { attachMenu } from "./menu.js";
import { at } from "./place.js";

const go = (path) => () => location.assign(at(path));

/** The field that finds things on this page. */
function search(event) {
  const field = [...document.querySelectorAll("main input[type=search]")].find((one) => one.checkVisibility());
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

keys.register("?", "shell.key_help", showKeys);
keys.register("/", "shell.key_search", search);
keys.register("g s", "shell.key_start", go("/"));
keys.register("g r", "shell.key_runs", go("/ui/runs"));
keys.register("g m", "shell.key_machines", go("/ui/machines"));

attachMenu(document.getElementById("bar-menu"));
document.getElementById("bar-keys").addEventListener("click", showKeys);
startBar();
