/** A page in words for an id that nobody knows (any more), in place of what the page would have shown. The service makes the
 *  same one (templates/problem.html) where it knows in time. */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { at } from "./place.js";
import { word } from "./words.js";

const KINDS = { fleet_not_found: "fleet" };

export const isMissing = (error) => error.status === 404 && /^(run|task|workflow|fleet)_not_found$/.test(error.code);

/** Takes the place of everything in `main`. */
export function showMissing(error) {
  const kind = KINDS[error.code] ?? "run";
  document.title = `${word(`shell.no_${kind}`)} · Nodeferry`;
  const title = h("h1", { tabindex: "-1" }, word(`shell.no_${kind}`));
  document.getElementById("main").replaceChildren(h("div", { class: "missing" }, icon("search"), title, h("p", {}, word("shell.no_run_why")),
    h("p", { class: "row" }, h("a", { class: "btn primary", href: at("/ui/runs") }, word("shell.to_runs")), h("a", { class: "btn", href: at("/") }, word("shell.to_start")))));
  title.focus();
}
