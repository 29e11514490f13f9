/** The fleets that there were, newest first. */

import { api } from "../core/api.js";
import { h, setHidden } from "../core/dom.js";
import { count, when } from "../core/format.js";
import { at } from "../core/place.js";

const WORDS = { queued: "waiting", running: "running", interrupted: "line cut", cancelling: "stopping", completed: "done", failed: "failed", cancelled: "stopped" };

/** "3 running, 1 failed": only what there is. */
export const statesInWords = (states) =>
  Object.entries(WORDS).filter(([name]) => states[name]).map(([name, word]) => `${states[name]} ${word}`).join(", ");

export async function showEarlier() {
  const { fleets } = await api("/fleet");
  const rows = fleets.map((fleet) => h("li", {}, h("a", { href: at(`/ui/fleet/${fleet.fleet_id}`) }, when(fleet.created_at)),
    h("span", {}, count(fleet.total_instances, "instance")),
    h("span", { class: "pill", "data-tone": fleet.in_progress ? "live" : fleet.states.failed ? "bad" : fleet.states.cancelled ? "warn" : "good" }, statesInWords(fleet.states))));
  document.getElementById("earlier").replaceChildren(...rows);
  setHidden(document.getElementById("no-earlier"), rows.length > 0);
}
