/** The times of a run: what each node pack did from when to when, what took longest, where an axis has its ticks. */

import { clock } from "../core/format.js";
import { word } from "../core/words.js";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];
const MOST_TICKS = 6;
const SLOWEST = 4;
const SHARED = ["resolve", "install", "scripts", "verify"]; // phases that no pack has alone
const LEAST_SECONDS = 1; // shorter things are not slow

/** When the run was last heard of, in seconds after it began. */
export function lastHeard(progress) {
  const ends = progress.phases.filter((phase) => phase.began !== null).map((phase) => phase.began + (phase.seconds ?? 0));
  return Math.max(0, ...ends, ...progress.nodes.flatMap((node) => Object.values(node.timeline)));
}

/** What a node pack did: `part`, `from`, `to`. The part in which it failed is red. */
export function partsOf(node, progress, end) {
  const at = node.timeline;
  const ended = at.failed ?? at.cancelled ?? at.skipped ?? (node.state === "failed" ? end : undefined);
  const found = [];
  const add = (part, from, to) => {
    if (from === undefined || (ended !== undefined && from > ended)) return;
    found.push({ key: part, part, from, to: Math.max(from, Math.min(to ?? ended ?? end, end)) });
  };
  add("clone", at.cloning, at.cloned);
  add("wait", at.cloned, at.installing ?? at.installed);
  add("install", at.installing, at.installed);
  if (at.verified !== undefined) add("verify", Math.max(began(progress, "verify") ?? at.installed ?? at.verified, at.installed ?? 0), at.verified);
  if (node.state === "failed") fail(found, ended, began(progress, "verify"));
  return found;
}

const began = (progress, name) => progress.phases.find((phase) => phase.name === name)?.began ?? undefined;

/** The part in which it failed; after a wait that is the check, where it had begun. */
function fail(found, ended, checked) {
  const last = found.at(-1);
  if (last && last.part !== "wait") Object.assign(last, { part: "failed", key: `failed ${last.part}`, to: Math.max(last.to, ended) });
  else {
    const from = last && checked > last.from && checked < ended ? checked : ended;
    if (last) last.to = from;
    found.push({ key: "failed", part: "failed", from, to: ended });
  }
}

export const totalOf = (parts) => (parts.length ? parts.at(-1).to - parts[0].from : 0);

/** What took longest: a pack's download, a package that was built, or what is done for all packs at once. */
export function longest(progress, rows) {
  const downloads = rows.flatMap(({ node, parts }) => parts.filter((part) => /clone$/.test(part.key)).map((part) => ({ text: word(part.part === "failed" ? "log.slow_failed" : "log.slow_clone", { name: node.name }), seconds: part.to - part.from })));
  const builds = progress.builds.map((build) => ({ text: word("log.slow_build", { name: build.package }), seconds: build.seconds ?? 0 }));
  const phases = progress.phases.filter((phase) => SHARED.includes(phase.name)).map((phase) => ({ text: word(`log.slow_${phase.name}`), seconds: phase.seconds ?? 0 }));
  return [...downloads, ...builds, ...phases].filter((each) => each.seconds >= LEAST_SECONDS).sort((one, other) => other.seconds - one.seconds).slice(0, SLOWEST);
}

/** Round times on the axis, six at most. */
export function ticksOf(end) {
  if (!(end > 0)) return [];
  const step = STEPS.find((each) => end / each <= MOST_TICKS) ?? end / MOST_TICKS;
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, index) => Number((index * step).toFixed(3)));
}

/** A time of a run that takes `end`: short ones have tenths. */
export const timeOf = (seconds, end) => (end < 10 ? `${seconds.toFixed(1)} s` : clock(seconds));
