/** A fleet, live: all together on top, then a row an instance. */

import { api } from "../core/api.js";
import { ask } from "../core/ask.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { announce, h, patchList, setAttribute, setHidden, setPart, setText } from "../core/dom.js";
import { count, when } from "../core/format.js";
import { at } from "../core/place.js";
import { Poller } from "../core/poller.js";
import { notifyEnd, showInTab } from "../core/signals.js";
import { countWords, stateWord, toneOf } from "../task/words.js";
import { statesInWords } from "./earlier.js";

const get = (id) => document.getElementById(id);
const [BUSY, QUIET] = [2000, 10000];
const GOES_ON = ["queued", "running", "interrupted", "cancelling"];
const wasBad = (row) => !GOES_ON.includes(row.state) && !(row.state === "completed" && row.outcome === "all");

export function startFleetView(id) {
  let shown = null;
  const poller = new Poller(look, { interval: BUSY, failed, answered: clearTrouble });

  async function look(signal) {
    const found = await api(`/fleet/${id}${shown ? `?since=${shown.revision}` : ""}`, { signal });
    if (found.unchanged) return true;
    if (shown?.in_progress && found.completed) notifyEnd(`nodeferry-${id}`, "The fleet has ended", statesInWords(found.states));
    shown = found;
    poller.interval = found.in_progress ? BUSY : QUIET; // a retry may come from another page
    draw(found);
    return true;
  }

  function failed(error) {
    if (error.status !== 404) return showTrouble(error);
    poller.stop();
    get("fleet").replaceChildren(h("p", { class: "note", "data-tone": "bad" }, h("strong", {}, error.message), "It may have been pruned with its tasks. ", h("a", { href: at("/ui/fleet") }, "All fleets")));
  }

  async function order(button, what) {
    button.disabled = true;
    setHidden(get("failure"), true);
    try {
      await api(`/fleet/${id}/${what}`, { body: {} });
      poller.now();
    } catch (error) {
      setText(get("failure"), `${error.message} ${error.hint}`.trim());
      setHidden(get("failure"), false);
    } finally {
      button.disabled = false;
    }
  }

  get("stop").addEventListener("click", async () => {
    const going = shown.instances.filter((row) => GOES_ON.includes(row.state)).length;
    const sure = await ask("Stop all of them?", `${count(going, "install")} will be stopped, on the instances too. Node packs that are done stay.`, "Stop all", { danger: true });
    if (sure) await order(get("stop"), "cancel");
  });
  get("retry").addEventListener("click", () => order(get("retry"), "retry"));
  poller.start();
}

function draw(fleet) {
  const tone = toneOfAll(fleet);
  setText(get("fleet-title"), `Fleet of ${count(fleet.total_instances, "instance")}`);
  setText(get("began"), `Started ${when(fleet.created_at)}`);
  setText(get("state"), fleet.in_progress ? "running" : tone === "good" ? "done" : "ended");
  setAttribute(get("state"), "data-tone", tone);
  setText(get("percent"), `${Math.floor(fleet.percent)} %`);
  setText(get("message"), statesInWords(fleet.states));
  setAttribute(get("bar"), "aria-valuenow", Math.floor(fleet.percent));
  setAttribute(get("bar"), "data-tone", fleet.in_progress ? null : tone);
  setPart(get("bar"), fleet.percent / 100);
  const { counts } = fleet;
  const totals = [["Node packs", counts.total], ["ready", counts.ready], ["with a problem", counts.problem], ["failed", counts.failed], ["left out", counts.skipped + counts.cancelled]];
  patchList(get("totals"), totals.filter(([name, number]) => number || name === "Node packs"), { key: ([name]) => name, make: ([name]) => h("span", {}, `${name} `, h("b")), update: (node, [, number]) => setText(node.lastChild, String(number)) });
  patchList(get("rows"), fleet.instances, { key: (row) => `${row.ssh_connection} ${row.ui_home ?? ""}`, make, update });
  setHidden(get("stop"), !fleet.in_progress);
  setHidden(get("retry"), !fleet.instances.some(wasBad));
  showInTab(fleet.percent, tone, "Fleet");
  announce(`${statesInWords(fleet.states)}.`);
}

function toneOfAll(fleet) {
  if (fleet.in_progress) return "live";
  const tones = fleet.instances.map(toneOf);
  return tones.every((tone) => tone === "good") ? "good" : tones.some((tone) => tone === "good" || tone === "warn") ? "warn" : "bad";
}

function make(row) {
  return h("li", { class: "ship" }, h("span", { class: "ship-name" }, row.ssh_connection),
    h("div", { class: "bar", role: "progressbar", "aria-label": row.ssh_connection, "aria-valuemin": "0", "aria-valuemax": "100" }, h("i")),
    h("span", { class: "ship-percent" }), h("span", { class: "ship-state" }, h("span", { class: "pill" })),
    h("span", { class: "ship-links" }, h("a", { "aria-label": `Open the install on ${row.ssh_connection}` }, "Open")),
    h("span", { class: "ship-said" }), h("span", { class: "ship-counts" }), h("p", { class: "note", "data-tone": "bad", hidden: true }, h("strong"), h("span")));
}

function update(node, row) {
  const [bar, pill, note] = [".bar", ".pill", ".note"].map((name) => node.querySelector(name));
  const goesOn = GOES_ON.includes(row.state);
  setPart(bar, row.percent / 100);
  setAttribute(bar, "aria-valuenow", Math.floor(row.percent));
  setAttribute(bar, "data-tone", goesOn ? null : toneOf(row));
  setText(node.querySelector(".ship-percent"), `${Math.floor(row.percent)} %`);
  setText(pill, stateWord(row));
  setAttribute(pill, "data-tone", toneOf(row));
  setAttribute(node.querySelector("a"), "href", at(`/ui/task/${row.task_id}`));
  const said = row.error ? "" : row.message;
  setText(node.querySelector(".ship-said"), [row.retry_of ? "Retry" : "", goesOn && row.state !== "queued" ? row.phase : "", said].filter(Boolean).join(" · "));
  setText(node.querySelector(".ship-counts"), countWords(row.counts));
  setHidden(note, !row.error);
  setText(note.firstChild, row.error?.message);
  setText(note.lastChild, row.error?.hint);
}
