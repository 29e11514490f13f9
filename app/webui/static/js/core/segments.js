/** The bar of a run's counts: one part a standing, as wide as its share. It is the same everywhere, small in lists and large
 *  on a run, and says its numbers in words. */

import { h, setAttribute, setHidden } from "./dom.js";
import { word } from "./words.js";

/** How node packs can stand, in the order of the bar. */
export const STANDINGS = ["ready", "problem", "failed", "skipped", "cancelled", "working", "waiting"];

const SAID = ["failed", "problem", "skipped", "cancelled"];

/** "31 of 34 ready, 2 failed, 1 with a problem"; empty where no pack is known yet. */
export function countsInWords(counts) {
  if (!counts?.total) return "";
  const parts = SAID.filter((name) => counts[name]).map((name) => word(`lists.n_${name}`, { n: counts[name] }));
  return [word("lists.n_ready", counts), ...parts].join(", ");
}

/** A bar of these counts; null where they are not known yet. */
export function segments(counts) {
  const bar = h("span", { class: "segments", role: "img" }, STANDINGS.map((name) => h("i", { "data-standing": name, hidden: true })));
  update(bar, counts);
  return bar;
}

/** Brings a bar up to date. */
export function update(bar, counts) {
  STANDINGS.forEach((name, index) => {
    const part = bar.children[index];
    const share = String(counts?.[name] ?? 0);
    setHidden(part, share === "0");
    if (part.style.getPropertyValue("--share") !== share) part.style.setProperty("--share", share);
  });
  setAttribute(bar, "aria-label", countsInWords(counts) || word("lists.n_unknown"));
}
