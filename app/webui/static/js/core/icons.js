/** Icons of the page's own sprite (templates/_icons.html), and the icon, tone and word of each standing. */

import { h, setAttribute, setText } from "./dom.js";
import { word } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** By `node.standing` of the API, and for what else has a state. */
const STANDINGS = {
  ready: ["ready", "good"],
  problem: ["problem", "warn"],
  failed: ["failed", "bad"],
  working: ["working", "live"],
  waiting: ["waiting", "idle"],
  skipped: ["skipped", "idle"],
  cancelled: ["stopped", "idle"],
  stopped: ["stopped", "idle"],
  question: ["question", "warn"],
};

/** A picture that says nothing by itself: words stand beside it, or on its button. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  setIcon(svg, name);
  return svg;
}

/** Makes an icon another one, where it is. */
export function setIcon(svg, name) {
  if (svg.dataset.icon === name) return;
  svg.dataset.icon = name;
  svg.firstElementChild.setAttribute("href", `#icon-${name}`);
}

export const iconOf = (standing) => STANDINGS[standing]?.[0] ?? "waiting";
export const toneOf = (standing) => STANDINGS[standing]?.[1] ?? "idle";
export const wordOf = (standing) => word(`common.standing_${standing in STANDINGS ? standing : "waiting"}`);

/** State by icon and word. `text`: other words than the standing's own. */
export function badge(standing, text = wordOf(standing)) {
  return setBadge(h("span", { class: "badge" }, icon(iconOf(standing)), h("span")), standing, text);
}

/** Brings a badge up to date, in place. */
export function setBadge(node, standing, text = wordOf(standing)) {
  setIcon(node.firstElementChild, iconOf(standing));
  setAttribute(node, "data-tone", toneOf(standing));
  setText(node.lastElementChild, text);
  return node;
}
