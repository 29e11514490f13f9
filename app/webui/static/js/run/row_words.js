/** What a row says of its node pack, beside the state: what is being done now, or what is wrong with it. */

import { bytes, rate, span } from "../core/format.js";
import { wordOf } from "../core/icons.js";
import { isInstalled } from "../core/states.js";
import { word } from "../core/words.js";
import { standingOf } from "./standings.js";

/** After so many seconds without a word of a pack, its speed and remaining time are not shown any more. */
export const SILENT_SECONDS = 10;

/** Why a pack is skipped that was not meant to be installed, in a word. */
const SKIPPED = { plan_only: word("run.state_planned"), rolled_back: word("run.state_removed") };

/** The state of a pack in a word or two. */
export const stateOf = (node) => (standingOf(node) === "skipped" && SKIPPED[node.error?.code]) || wordOf(standingOf(node));

/** `silence`: seconds since something was heard of this pack; `build`: the one that runs for it. */
export function sentenceOf(node, { silence = 0, build = null } = {}) {
  const said = node.error?.message;
  switch (standingOf(node)) {
    case "waiting": return "";
    case "working": return working(node, silence, build);
    case "ready": return ready(node);
    case "problem": return said ?? word("run.not_checked");
    default: return node.error?.code === "plan_only" ? "" : said ?? "";
  }
}

function working(node, silence, build) {
  const said = doing(node, silence, build);
  return silence === null ? word("run.last_heard", { what: said }) : said; // the line is cut: nothing else is known
}

function doing(node, silence, build) {
  if (node.state === "cloning") return downloading(node, silence);
  if (build) return word("run.building", { name: build.package, detail: build.detail ?? span(build.seconds) });
  if (node.state === "cloned") return word("run.downloaded");
  if (node.state === "installing") return word(node.script_status === "running" ? "run.script" : "run.packages");
  return word("run.check_comes");
}

function downloading(node, silence) {
  const percent = word("run.downloading", { percent: node.clone_progress });
  if (silence === null) return percent;
  if (silence > SILENT_SECONDS) return word("run.silent", { what: percent, time: span(silence) });
  const left = node.eta_seconds >= 1 ? word("run.time_left", { time: span(node.eta_seconds) }) : "";
  return [percent, rate(node.bytes_per_second), left].filter(Boolean).join(" · ");
}

function ready(node) {
  if (node.error) return node.error.message;
  if (node.verified) return word(node.kept ? "run.loads_kept" : "run.loads");
  return word(node.folder?.includes("/") ? "run.inside" : "run.installed");
}

/** The parts of a pack's way and how far each is: download, Python packages, check. */
export function partsOf(node) {
  const standing = standingOf(node);
  const isFetched = node.commit || node.kept || "cloned" in node.timeline; // a pack of the registry has no commit
  const cloned = !["pending", "cloning"].includes(node.state) && Boolean(isFetched);
  const installed = isInstalled(node) || node.verified !== null;
  const needsFailed = node.requirements_status === "failed" || node.script_status === "failed";
  return [
    cloned ? ["done", 1] : standing === "failed" ? ["failed", 1] : node.state === "cloning" ? ["runs", node.clone_progress / 100] : ["none", 0],
    needsFailed ? ["failed", 1] : installed ? ["done", 1] : node.state === "installing" ? ["runs", 1] : ["none", 0],
    node.verified === false ? ["failed", 1] : node.verified ? ["done", 1] : ["none", 0],
  ];
}

export const sizeOf = (node) => (node.bytes_received ? bytes(node.bytes_received) : "");
export const importOf = (node) => (node.import_seconds === null || node.import_seconds === undefined ? "" : word("run.import_took", { time: node.import_seconds.toFixed(1) }));
export const timeOf = (node) => (node.seconds === null || node.seconds === undefined || standingOf(node) === "waiting" ? "" : span(node.seconds));
