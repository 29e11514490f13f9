/** One run: its sentence, and the task that works in it or worked last. */

import { api, carried } from "../core/api.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { setText } from "../core/dom.js";
import { Poller } from "../core/poller.js";
import { TaskView } from "../task/view.js";

const get = (id) => document.getElementById(id);
const id = document.body.dataset.id;
let view = null;

function draw(run, task = null) {
  setText(get("sentence"), run.summary.sentence);
  const wanted = run.rows_of ?? run.current;
  if (!wanted || view?.taskId === wanted) return;
  view?.stop();
  const part = get("task-template").content.cloneNode(true);
  part.querySelector("[data-task]").dataset.task = wanted;
  get("task").replaceChildren(part);
  const initial = task?.task_id === wanted ? task : null;
  view = new TaskView(get("task").querySelector("[data-task]"), { initial, ended: () => poller?.now() }).start();
}

const first = carried();
let poller = null;
if (first) draw(first, first.rows ?? first.task);

poller = new Poller(async (signal) => {
  const run = await api(`/runs/${id}`, { signal });
  draw(run);
  return run.in_progress;
}, { failed: showTrouble, answered: clearTrouble });
poller.start();
