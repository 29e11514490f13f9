/** The icon of a summary: a shape as well as a colour. */

import { setAttribute } from "../core/dom.js";
import { icon, setIcon } from "../core/icons.js";

const BY_KIND = { queued: "waiting", waiting_for_machine: "waiting", question: "question", cut: "problem", stopping: "stopped", put_back: "back", stopped: "stopped", planned: "file", never: "info" };
const BY_TONE = { live: "working", good: "ready", warn: "problem", bad: "failed", idle: "stopped" };

/** An icon with the tone of its own, to be brought up to date by `showState`. */
export const stateIcon = () => icon("waiting");

export function showState(node, { kind, tone }) {
  setIcon(node, BY_KIND[kind] ?? BY_TONE[tone] ?? "waiting");
  setAttribute(node, "data-tone", tone);
}
