/** A list without the entries that the service has named as wrong: what a half-broken file is good for. */

import { word } from "../core/words.js";

const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;
const placeOf = ({ field }) => Number(/\[(\d+)\]/.exec(field)?.[1] ?? NaN);

/** Whether `withoutWrong` can do something about an ApiError. */
export const canLeaveOut = ({ wrongEntries }, manifest) => wrongEntries.length > 0 && (manifest.csv || manifest.urls || manifest.nodes) && !wrongEntries.some((entry) => Number.isNaN(placeOf(entry)));

/** The manifest without them, and what is told of each: `{ name, version, reason }`. */
export function withoutWrong(manifest, { wrongEntries }) {
  const places = new Map(wrongEntries.map((entry) => [placeOf(entry), entry.message]));
  const told = [...places].map(([place, reason]) => ({ name: nameOf(manifest, place), version: "", reason: reason.replace(/^Line \d+: /, "") }));
  return [rest(manifest, places), told];
}

/** Lines of a CSV stay where they are, for the numbers of the others. */
function rest(manifest, places) {
  if (manifest.csv) return { csv: manifest.csv.replace(/^\ufeff/, "").split(LINE_END).map((line, index) => (places.has(index + 1) ? "" : line)).join("\n") };
  const form = manifest.urls ? "urls" : "nodes";
  return { [form]: manifest[form].filter((_, index) => !places.has(index)) };
}

function nameOf({ csv, urls, nodes }, place) {
  if (csv) return word("start.line", { n: place });
  return urls ? String(urls[place]).trim() : nodes[place]?.name ? String(nodes[place].name) : word("start.entry", { n: place + 1 });
}
