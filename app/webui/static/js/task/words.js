/** From the API's states to what people read. The words and groups of one node pack, of a task, of its end. */

import { bytes, count, rate, span } from "../core/format.js";
import { isInstalled, restartOf } from "../core/states.js";

export const GROUPS = [
  ["active", "Working"],
  ["failed", "Failed"],
  ["waiting", "Waiting"],
  ["done", "Done"],
  ["ended", "Left out"],
];

const ended = (node) => ["skipped", "cancelled"].includes(node.state);
const partRuns = (node) => node.requirements_status === "running" || node.script_status === "running";

export function groupOf(node) {
  if (node.state === "failed") return "failed";
  if (ended(node)) return "ended";
  if (isInstalled(node)) return "done";
  if (node.state === "cloning" || (node.state !== "pending" && partRuns(node))) return "active";
  return "waiting";
}

/** Good, but something is not sure: nobody has imported it, or a part of it failed. */
export const unsure = (node) => groupOf(node) === "done" && (Boolean(node.error) || node.state !== "verified");

export function sentenceOf(node, running) {
  const reason = node.error?.message;
  switch (node.state) {
    case "pending": return "waits";
    case "cloning": return cloning(node);
    case "cloned": return node.requirements_status === "failed" ? reason : "cloned; its packages come next";
    case "installing": return node.script_status === "running" ? "runs its install script" : "installing its Python packages";
    case "installed": return reason ?? (node.folder.includes("/") ? "installed; its parent pack loads it" : running ? "installed; import not checked yet" : "installed; nobody has tried to import it");
    case "verified": return reason ? `loads in ComfyUI, but: ${reason}` : node.kept ? "was there already; loads in ComfyUI" : "loads in ComfyUI";
    default: return reason ?? node.state;
  }
}

function cloning(node) {
  const parts = [`cloning ${node.clone_progress} %`, rate(node.bytes_per_second)];
  if (node.eta_seconds >= 1) parts.push(`${span(node.eta_seconds)} left`);
  return parts.filter(Boolean).join(" · ");
}

/** The three parts of a pack's way: how each stands, and how much of it is done where that is known. */
export function partsOf(node) {
  const there = !["pending", "cloning"].includes(node.state) && (node.commit || node.kept || node.state !== "failed");
  const failedClone = node.state === "failed" && !there;
  const needs = [node.requirements_status, node.script_status];
  const installed = isInstalled(node);
  const installFailed = needs.includes("failed");
  return {
    clone: [failedClone ? "failed" : there ? "success" : node.state === "cloning" ? "running" : "pending", there ? 1 : node.clone_progress / 100],
    install: [installFailed ? "failed" : installed || node.verified !== null ? "success" : node.state === "installing" ? "running" : "pending", installed || node.verified !== null ? 1 : 0],
    verify: [node.verified === false ? "failed" : node.verified ? "success" : "pending", node.verified ? 1 : 0],
  };
}

const TASK_TONES = { queued: "idle", running: "live", interrupted: "warn", cancelling: "warn", completed: "good", failed: "bad", cancelled: "warn" };

export function toneOf(progress) {
  if (progress.state !== "completed") return TASK_TONES[progress.state] ?? "idle";
  return { all: "good", partial: "warn", none: "bad" }[progress.outcome] ?? "good";
}

const STATES = { queued: "in the queue", interrupted: "line cut", cancelling: "stopping", cancelled: "stopped" };
const OUTCOMES = { all: "done", partial: "done, with failures", none: "nothing installed" };
export const stateWord = (progress) =>
  progress.state === "completed" ? OUTCOMES[progress.outcome] ?? "done" : STATES[progress.state] ?? progress.state;

/** The progress's own counts, for people: "30 of 34 ready, 3 failed, 1 with a problem". */
export function countWords(counts) {
  if (!counts?.total) return "";
  const parts = [[counts.failed, "failed"], [counts.problem, "with a problem"], [counts.skipped + counts.cancelled, "left out"]];
  return [`${counts.ready} of ${counts.total} ready`, ...parts.filter(([number]) => number).map((part) => part.join(" "))].join(", ");
}

const worksOf = (works, all) => (works < all ? count(works, "node pack") : all === 1 ? "The node pack" : `All ${all} node packs`);

/** What works now, in one sentence. Only what ComfyUI itself has imported is said to work. */
export function endingOf(progress) {
  const nodes = progress.nodes;
  const restart = restartOf(progress);
  if (!nodes.length && restart?.status === "success") return "ComfyUI was restarted and answers.";
  const works = nodes.filter((node) => node.verified === true).length;
  const unknown = nodes.filter((node) => node.state === "installed").length;
  const { failed, skipped, cancelled } = progress.counts;
  const parts = [];
  if (works) parts.push(`${worksOf(works, nodes.length)} ${works === 1 ? "loads" : "load"} in ComfyUI`);
  if (unknown) parts.push(`${unknown} ${unknown === 1 ? "is" : "are"} installed without an import check`);
  if (failed) parts.push(`${failed} failed`);
  const left = skipped + cancelled;
  if (left) parts.push(`${left} left out`);
  return parts.length ? `${parts.join(", ")}.` : progress.message;
}

/** What is being worked on right now, for the line below the message. */
export function nowOf(progress) {
  const node = progress.nodes.find(({ name }) => name === progress.current_node);
  const working = progress.nodes.filter((other) => groupOf(other) === "active").length;
  if (!node || groupOf(node) !== "active") return "";
  return `${node.name}: ${sentenceOf(node, true)}${working > 1 ? `, and ${working - 1} more` : ""}`;
}

export const sizeOf = (node) => bytes(node.bytes_received);
export const importOf = (node) => (node.import_seconds === null || node.import_seconds === undefined ? "" : `import ${node.import_seconds.toFixed(1)} s`);
const NEEDS = { pending: "packages wait", running: "packages…", success: "packages ✓", failed: "packages ✗", skipped: "", none: "" };
export const needsOf = (node) => NEEDS[node.requirements_status] ?? "";
