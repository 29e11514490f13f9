/** What is changed in ComfyUI's environment, and for whom. */

import { h } from "../core/dom.js";
import { bytes } from "../core/format.js";

const WORDS = { add: "new", remove: "removed", change: "changed" };

export function drawPlan(place, plan) {
  if (!plan) {
    place.replaceChildren(h("p", { class: "soft" }, "It is not known yet which Python packages change."));
    return;
  }
  if (!plan.length) {
    place.replaceChildren(h("p", { class: "soft" }, "No Python package changes."));
    return;
  }
  const head = h("tr", {}, ["Package", "Now", "Then", "", "For", "Download"].map((text) => h("th", { scope: "col" }, text)));
  const rows = plan.toSorted((one, other) => weight(other) - weight(one)).map(line);
  place.replaceChildren(h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Package changes" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))));
}

/** What was there and becomes another comes first, downgrades before all. */
const weight = (change) => (change.downgrade ? 2 : 0) + (change.change === "add" ? 0 : 1);

function line(change) {
  const tone = change.downgrade ? "warn" : change.change === "add" ? "good" : "live";
  const word = change.downgrade ? "older" : WORDS[change.change] ?? change.change;
  return h("tr", {},
    h("td", { class: "mono" }, change.package), h("td", { class: "mono" }, change.old ?? "–"), h("td", { class: "mono" }, change.new ?? (change.needs_build ? "not known" : "–")),
    h("td", {}, h("span", { class: "pill", "data-tone": tone }, word), change.needs_build ? [" ", h("span", { class: "pill", "data-tone": "warn", title: change.build_from ?? change.build }, "built")] : null),
    h("td", {}, change.wanted_by.join(", ") || h("span", { class: "soft" }, "not known")), h("td", { class: "number" }, bytes(change.bytes)));
}
