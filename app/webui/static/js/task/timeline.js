/** Who did what when: a line a pack, drawn from the times at which packs came into their states. A part that goes on ends
 *  where the run was last heard of. */

import { h, patchList, setAttribute, setPart, setText } from "../core/dom.js";
import { clock } from "../core/format.js";

/** Short runs have ticks between seconds. */
const tickOf = (seconds, end) => (end < 10 ? `${seconds.toFixed(1)} s` : clock(seconds));

const TICKS = 5;

export class Timeline {
  constructor({ timeline, axis }) {
    Object.assign(this, { timeline, axis });
  }

  update(progress) {
    const end = lastHeard(progress);
    const nodes = progress.nodes.filter((node) => Object.keys(node.timeline).length);
    patchList(this.timeline, nodes, {
      key: (node) => node.name,
      make: (node) => h("div", { class: "timeline-row" }, h("span", { title: node.name }, node.name), h("div", { class: "timeline-track" })),
      update: (row, node) => draw(row.querySelector(".timeline-track"), segments(node, progress, end), end),
    });
    const ticks = end > 0 ? Array.from({ length: TICKS }, (_, index) => ({ at: (end * index) / (TICKS - 1), index })) : [];
    patchList(this.axis, ticks, { key: (tick) => tick.index, make: () => h("span"), update: (node, tick) => setText(node, tickOf(tick.at, end)) });
  }
}

function lastHeard(progress) {
  const ends = progress.phases.filter((phase) => phase.began !== null).map((phase) => phase.began + (phase.seconds ?? 0));
  return Math.max(0, ...ends, ...progress.nodes.flatMap((node) => Object.values(node.timeline)));
}

function segments(node, progress, end) {
  const at = node.timeline;
  const ended = at.failed ?? at.cancelled ?? at.skipped ?? (node.state === "failed" ? end : undefined);
  const found = [];
  const add = (part, from, to) => from !== undefined && found.push({ part, from, to: Math.max(from, Math.min(to ?? ended ?? end, end)) });
  add("clone", at.cloning, at.cloned);
  add("wait", at.cloned, at.installing ?? at.installed);
  add("install", at.installing, at.installed);
  if (at.verified !== undefined) {
    const verify = progress.phases.find((phase) => phase.name === "verify")?.began;
    add("verify", Math.max(verify ?? at.installed ?? at.verified, at.installed ?? 0), at.verified);
  }
  if (ended !== undefined && node.state === "failed") found.push({ part: "failed", from: Math.max(0, ended - end / 150), to: ended });
  return found;
}

function draw(track, parts, end) {
  patchList(track, parts, {
    key: (part) => part.part,
    make: (part) => h("i", { "data-part": part.part }),
    update: (node, part) => {
      setPart(node, end ? part.from / end : 0, "--from");
      setPart(node, end ? part.to / end : 0, "--to");
      setAttribute(node, "title", `${part.part}: ${clock(part.from)} to ${clock(part.to)}`);
    },
  });
}
