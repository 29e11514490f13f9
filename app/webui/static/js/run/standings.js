/** Where a node pack stands, as the service says it, and the words for it. */

import { wordOf } from "../core/icons.js";
import { word } from "../core/words.js";

/** The parts of the bar in their order, each with the counts that it adds up. */
export const SEGMENTS = [
  ["ready", ["ready"]],
  ["problem", ["problem"]],
  ["failed", ["failed"]],
  ["working", ["working"]],
  ["waiting", ["waiting"]],
  ["left", ["skipped", "cancelled"]],
];

export const standingOf = (node) => node.standing;
export const segmentOf = (node) => SEGMENTS.find(([, parts]) => parts.includes(standingOf(node)))[0];
export const labelOf = (segment) => (segment === "left" ? word("run.left") : wordOf(segment));
export const countIn = (counts, parts) => parts.reduce((sum, part) => sum + (counts?.[part] ?? 0), 0);
