/** The options of an install, as the page has them; they are remembered in this browser. */

import { recall, remember } from "../core/memory.js";

const KEPT = "options";
const SELECTS = ["existing", "on-failure", "review"];
const TICKS = ["scripts", "verify", "restart"];
const get = (id) => document.getElementById(id);

export class Options {
  constructor() {
    this.#set(recall(KEPT, {}));
    document.getElementById("options").addEventListener("change", () => this.#keep());
  }

  /** As a run was asked for: its options by the API's names. */
  use(options) {
    const values = { existing: options.existing, "on-failure": options.on_failure, scripts: options.run_scripts, verify: options.verify, restart: options.restart };
    this.#set(values);
    get("exact").checked = options.exact === true;
  }

  /** The part of a workflow's request. */
  request(hasLock) {
    const options = { existing: get("existing").value, on_failure: get("on-failure").value, run_scripts: get("scripts").checked, ask: "ask", first_contact: "ask" };
    if (hasLock && get("exact").checked) options.exact = true;
    const steps = ["test_ssh", "install_custom_nodes"];
    if (get("verify").checked) steps.push("verify_dependencies");
    if (get("restart").checked) steps.push("restart_comfyui");
    return { options, steps, review_plan: get("review").value };
  }

  #set(values) {
    for (const id of SELECTS) if ([...get(id).options].some((option) => option.value === values[id])) get(id).value = values[id];
    for (const id of TICKS) if (typeof values[id] === "boolean") get(id).checked = values[id];
  }

  #keep() {
    const ticks = TICKS.map((id) => [id, get(id).checked]);
    remember(KEPT, Object.fromEntries([...SELECTS.map((id) => [id, get(id).value]), ...ticks]));
  }
}
