/** Times in lists: how long ago, then the date; whole on hover. */

import { h, setAttribute, setText } from "../core/dom.js";
import { when } from "../core/format.js";
import { word } from "../core/words.js";

const DAY = 86400;
const UNITS = [["minute", 60, 3600], ["hour", 3600, DAY], ["day", DAY, 7 * DAY]];
const SPAN = Object.fromEntries(UNITS.map(([unit]) => [unit, new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay: unit === "day" ? "long" : "short" })]));
const THIS_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const EARLIER = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** "just now", "4 min ago", "2 days ago", "3 Jan". */
export function ago(iso, now = Date.now()) {
  if (!iso) return "";
  const then = new Date(iso);
  const seconds = (now - then) / 1000;
  if (seconds < 60) return word("lists.just_now");
  for (const [unit, size, end] of UNITS) {
    if (seconds < end) return word("lists.ago", { span: SPAN[unit].format(Math.floor(seconds / size)) });
  }
  return (then.getFullYear() === new Date(now).getFullYear() ? THIS_YEAR : EARLIER).format(then);
}

export const timeNode = (name) => h("time", { class: name });

export function updateTime(node, iso) {
  setText(node, ago(iso));
  setAttribute(node, "datetime", iso || null);
  setAttribute(node, "title", when(iso) || null);
}
