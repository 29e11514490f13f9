/** A list as the service reads it, held against the machine that is connected. */

import { api } from "../core/api.js";
import { word } from "../core/words.js";
import { linesWrong } from "./pasted.js";
import { canLeaveOut } from "./without.js";

const CHECK_MS = 90000; // for a workflow the map of all node packs is fetched first, once
const VERSION = /^v?\d{1,6}(?:\.\d{1,6}){1,3}(?![\d.])/;

/** What is known of a list, or why it cannot be read. `asked`: `{ manifest, label, left, text, lost }`, of which `text` is
 *  what was pasted, for the numbers of its lines; `machine`: `{ command, version }` or null. */
export async function checked(source, asked, machine) {
  const { manifest, label, text } = asked;
  try {
    return found(asked, await api("/manifests/check", { body: { manifest, ...through(machine) }, timeout: CHECK_MS }));
  } catch (error) {
    const why = linesWrong(error, text, manifest);
    return { error: source === "file" ? word("start.file_wrong", { name: label, why }) : why, refused: canLeaveOut(error, manifest) ? { error, manifest, label } : null };
  }
}

/** Its ComfyUI's version, and its network for what the service does not reach by itself. */
const through = (machine) => machine && { ssh_connection: machine.command, ...(VERSION.test(machine.version ?? "") ? { comfyui_version: machine.version } : {}) };

/** What the registry does not have, or not any more: nobody has to find that out from a run. */
const refused = (registry) => (registry?.packs ?? []).filter((pack) => pack.refused).map((pack) => pack.registry_id);

function found({ manifest, label, left, lost }, answer) {
  const { manifest: read, nodes, left_out: notInstallable, workflow = null, file = null, registry } = answer;
  const problem = file?.problem && word("start.file_wrong", { name: label, why: file.problem });
  return {
    manifest: read,
    nodes: (workflow || file) && !nodes?.length ? null : nodes,
    label,
    left: new Set([...left, ...refused(registry)]),
    notInstallable: notInstallable ?? [],
    workflow,
    models: file?.models ?? [],
    error: problem || "",
    asked: workflow && manifest,
    lost,
    byMachine: Boolean(workflow || registry?.problem),
  };
}
