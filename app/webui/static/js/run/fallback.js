import { api } from "../core/api.js";
import { at } from "../core/place.js";

const TONES = { queued: "live", running: "live", interrupted: "warn", cancelling: "warn", completed: "good", failed: "bad", cancelled: "warn" };
export async function loadRun(id, signal) {
  try {
    return await api(`/runs/${id}`, { signal });
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  const task = await api(`/tasks/${id}`, { signal });
  const p = task.progress;
  const kind = p.questions.length ? "question" : p.message_code === "waiting_for_instance" ? "waiting_for_machine" : { queued: "queued", running: "working", interrupted: "cut", cancelling: "stopping", completed: p.outcome === "all" ? "ready" : "partial", failed: "failed", cancelled: "stopped" }[p.state];
  const tone = p.outcome === "partial" ? "warn" : TONES[p.state];
  const summary = { kind, tone, sentence: p.message };
  const actions = p.in_progress ? [{ name: "stop" }] : [{ name: "restart", primary: p.outcome === "all" }, { name: "open" }, { name: "retry", primary: p.outcome !== "all" }, { name: "rollback" }, { name: "lock" }];
  return { run_id: id, kind: "install", machine: { name: task.instance, ssh_connection: task.ssh_connection }, in_progress: p.in_progress, summary, counts: p.counts, percent: p.percent, current: id, question: null, chapters: [{ name: "install", label: "Install", task_id: id, in_progress: p.in_progress, summary, counts: p.counts, seconds: p.elapsed_seconds }], workflow: null, actions };
}
