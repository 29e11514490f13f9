/** What another run installed, for `/?from=RUN_ID`: the id of a run, a workflow or a task. */

import { api } from "../core/api.js";

/** The request of a run's install, as GET /tasks/ID has it; null where it is not known any more. */
export async function requestOf(id) {
  const found = await api(`/runs/${id}`).catch(() => null);
  const tasks = [...(found?.chapters ?? []).map((chapter) => chapter.name === "install" && chapter.task_id), found?.current, id];
  for (const task of tasks.filter(Boolean)) {
    const said = await api(`/tasks/${task}`).catch(() => null);
    if (said?.request && !said.rollback_of && !said.restart_of) return said.request;
  }
  return null;
}

/** The lock that a run has left; null where there is none. */
export async function lockOf(taskId) {
  return (await api(`/tasks/${taskId}/lock`).catch(() => null))?.lock ?? null;
}
