/** A run's list once more: it becomes the recipe of the start page. */

import { api } from "../core/api.js";
import { remember } from "../core/memory.js";
import { at } from "../core/place.js";
import { word } from "../core/words.js";

const WITH_A_LIST = ["retry", "install"];

/** The task of a run that says what was installed: its newest retry, else its install; null where there is none. */
export async function taskOf(runId) {
  const { chapters } = await api(`/runs/${encodeURIComponent(runId)}`);
  const found = chapters.toReversed().find(({ name, task_id: id }) => id && WITH_A_LIST.includes(name));
  return found?.task_id ?? null;
}

/** Goes to the start page with the run's whole list, on the same machine or with no machine chosen. */
export async function installAgain(run, { elsewhere = false } = {}) {
  const { chapters } = await api(`/runs/${encodeURIComponent(run.run_id)}`);
  const first = chapters.find(({ name, task_id: id }) => id && name === "install")?.task_id;
  const manifest = first ? (await api(`/tasks/${first}`)).request.manifest : null;
  const label = run.list.label || word(manifest ? "lists.label_again" : "lists.label_default");
  remember("recipe", { manifest, left: [], label });
  const asked = new URLSearchParams({ recipe: "last", ...(elsewhere ? {} : { ssh: run.machine.ssh_connection }) });
  location.assign(at(`/?${asked}`));
}
