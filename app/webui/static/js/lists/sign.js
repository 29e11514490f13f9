/** The sign of a state: a shape as well as a colour, so that nobody has to see colours. */

import { h, setAttribute } from "../core/dom.js";

const SHAPES = {
  check: "m4.2 8.4 2.6 2.6 5-5.6",
  cross: "m5.2 5.2 5.6 5.6m0-5.6-5.6 5.6",
  bang: "M8 4v4.8M8 11.7v.1",
  ask: "M6 6.1a2 2 0 1 1 2.9 1.8c-.6.3-.9.6-.9 1.3M8 11.8v.1",
  stop: "M5.6 5.6h4.8v4.8H5.6z",
  back: "M6.2 4.6 4 6.8 6.2 9M4.3 6.8h4.5a2.4 2.4 0 0 1 0 4.8H6.6",
  wait: "M8 4.6V8l2.2 1.6",
  minus: "M5 8h6",
};
const BY_KIND = { question: "ask", queued: "wait", waiting_for_machine: "wait", planned: "minus", put_back: "back", stopped: "stop", stopping: "stop" };
const BY_TONE = { good: "check", bad: "cross", warn: "bang", idle: "minus" };
const MOVING = new Set(["connecting", "working"]);

/** The sign of a run's summary. */
export function sign(summary) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  const node = h("span", { class: "sign", "aria-hidden": "true" }, svg);
  updateSign(node, summary);
  return node;
}

/** Brings a sign up to date. */
export function updateSign(node, { kind, tone }) {
  const moves = MOVING.has(kind);
  setAttribute(node, "data-tone", tone);
  setAttribute(node, "data-moves", moves);
  setAttribute(node.querySelector("path"), "d", moves ? "" : SHAPES[BY_KIND[kind] ?? BY_TONE[tone] ?? "minus"]);
}
