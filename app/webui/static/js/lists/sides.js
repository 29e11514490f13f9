/** Two runs, ready to be compared: each with its row, the install that it is about, and what that has left. */

import { api, ApiError } from "../core/api.js";
import { word } from "../core/words.js";

const COMPARED = ["retry", "install", "plan"];

/** `run`, `task` (null where nothing was installed) and `lock` (null where none was saved) of an id. */
export async function sideOf(id) {
  const run = await runOf(id);
  const chapters = run.chapters.filter(({ name, task_id: task }) => task && COMPARED.includes(name));
  const chapter = chapters.find(({ task_id: task }) => task === id) ?? chapters.at(-1);
  if (!chapter) return { run, task: null, lock: null };
  const task = await api(`/tasks/${chapter.task_id}`);
  return { run, task, lock: mayHaveLock(chapter, task) ? await lockOf(chapter.task_id) : null };
}

/** A lock is saved at the end of an install; of a plan, and of what goes on or was stopped, there is none to ask for. */
const mayHaveLock = ({ name }, { progress }) => name !== "plan" && progress.state === "completed";

async function runOf(id) {
  try {
    return await api(`/runs/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error.status !== 404 && error.status !== 400) throw error;
    throw new ApiError({ code: error.code, message: word("lists.compare_gone", { id: id.slice(0, 60) }), hint: word("lists.compare_gone_hint"), status: error.status });
  }
}

async function lockOf(taskId) {
  try {
    return (await api(`/tasks/${taskId}/lock`)).lock;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}
