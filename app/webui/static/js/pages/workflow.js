/** A workflow: its steps as tiles, its question, and the install that does the work below them. */

import { at } from "../core/place.js";
import { api, carried } from "../core/api.js";
import { ask } from "../core/ask.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { announce, h, patchList, readable, setAttribute, setHidden, setText } from "../core/dom.js";
import { span } from "../core/format.js";
import { Poller } from "../core/poller.js";
import { showInTab } from "../core/signals.js";
import { drawPlan } from "../task/plan.js";
import { TaskView } from "../task/view.js";

const get = (id) => document.getElementById(id);
const id = document.body.dataset.id;
const MARKS = { success: "✓", partial: "!", failed: "✗", skipped: "–", stopped: "■", blocked: "?" };
const SAID = { pending: "", skipped: "not done", stopped: "stopped", running: "working…" };
let shown = null;
let view = null;
let asked = "";

/** `task`: the install as the page carried it. */
function draw(workflow, task = null) {
  shown = workflow;
  patchList(get("steps"), workflow.steps, { key: (step) => step.name, make: tile, update: patchTile });
  question(workflow.question?.task_id ? null : workflow.question); // the task below asks its own
  const failed = workflow.state === "failed" && workflow.error;
  setHidden(get("failure"), !failed);
  if (failed) get("failure").replaceChildren(h("strong", {}, workflow.error.message), readable(workflow.error.hint));
  install(workflow, task);
  actions(workflow);
  if (!view) showInTab(0, workflow.in_progress ? "live" : workflow.state === "completed" ? "good" : "bad", "");
  const now = workflow.steps.find((step) => step.name === workflow.current_step);
  if (now && !view) announce(`${now.label}: ${now.status}`);
}

function tile(step) {
  return h("li", { class: "step" }, h("span", { class: "step-number", "aria-hidden": "true" }), h("span", { class: "step-name" }, step.label), h("span", { class: "step-said" }), h("span", { class: "step-foot" }));
}

function patchTile(node, step) {
  setAttribute(node, "data-status", step.status);
  setAttribute(node, "aria-current", step.status === "running" ? "step" : null);
  const place = shown.steps.indexOf(step) + 1;
  setText(node.querySelector(".step-number"), MARKS[step.status] ?? String(place));
  const said = step.error?.message ?? (step.message || (SAID[step.status] ?? step.status));
  setText(node.querySelector(".step-said"), said);
  setAttribute(node, "title", said);
  const foot = [step.status === "running" && step.percent !== null ? `${Math.floor(step.percent)} %` : "", step.seconds === null ? "" : span(step.seconds)];
  setText(node.querySelector(".step-foot"), foot.filter(Boolean).join(" · "));
}

function question(wanted) {
  const box = get("question");
  setHidden(box, !wanted);
  const key = wanted ? `${wanted.code} ${wanted.text}` : "";
  if (key === asked) return;
  asked = key;
  if (!wanted) return;
  const plan = h("div");
  if (wanted.facts.plan) drawPlan(plan, wanted.facts.plan);
  const facts = wanted.facts.shown_sha256 ? h("p", { class: "mono wrap-anywhere" }, `${wanted.facts.key_type} ${wanted.facts.shown_sha256}`) : null;
  const buttons = wanted.answers.map(({ answer, label }, index) => h("button", { type: "button", class: index ? "" : "primary", onclick: () => reply(answer) }, label));
  box.replaceChildren(...[h("h2", { id: "question-text" }, wanted.text), h("p", {}, wanted.hint), facts, plan, h("div", { class: "row" }, buttons, h("button", { type: "button", class: "danger", onclick: () => reply("stop") }, "Stop"))].filter(Boolean));
  announce(wanted.text);
  box.querySelector("button").focus();
}

async function reply(answer) {
  try {
    await api("/workflow/resume", { body: { workflow_id: id, answer }, timeout: 60000 });
  } catch (error) {
    showTrouble(error);
  }
  poller.now();
}

/** The newest install of the workflow: the one that works, or worked last. */
function install(workflow, task) {
  const taskId = workflow.steps.findLast((step) => step.task_id && step.name === "install_custom_nodes")?.task_id ?? workflow.steps.findLast((step) => step.plan_task_id)?.plan_task_id;
  if (!taskId) {
    const now = workflow.steps.find((step) => step.status === "running");
    setText(get("waiting-text"), now ? `${now.label}…` : workflow.in_progress ? "Starting…" : "Nothing was installed.");
    return;
  }
  if (view?.taskId === taskId) return;
  view?.stop();
  const part = get("task-template").content.cloneNode(true);
  part.querySelector("[data-task]").dataset.task = taskId;
  get("install").replaceChildren(part);
  const initial = task?.task_id === taskId ? task : null;
  view = new TaskView(get("install").querySelector("[data-task]"), { initial, ended: () => poller?.now() }).start();
}

function actions(workflow) {
  const wanted = workflow.in_progress ? ["stop"] : ["again"];
  patchList(get("workflow-actions"), wanted, { key: (name) => name, make: (name) => (name === "stop" ? stopButton() : h("a", { class: "button", href: at(`/?ssh=${encodeURIComponent(workflow.ssh_connection)}`) }, "Install something else")), update: () => {} });
}

function stopButton() {
  const onclick = async () => {
    if (!(await ask("Stop this workflow?", "The install is stopped on the instance too. What is done stays.", "Stop it", { danger: true }))) return;
    try {
      await api("/workflow/stop", { body: { workflow_id: id } });
    } catch (error) {
      showTrouble(error);
    }
    poller.now();
  };
  return h("button", { type: "button", class: "danger", onclick }, "Stop the workflow");
}

const first = carried();
let poller = null;
if (first) draw(first, first.task);

poller = new Poller(async (signal) => {
  draw(await api(`/workflow/state?workflow_id=${id}`, { signal }));
  return shown.in_progress;
}, { failed: showTrouble, answered: clearTrouble });
poller.start();
