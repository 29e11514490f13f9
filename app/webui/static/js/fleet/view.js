/** A fleet, live: all together on top, then a row a machine. */

import { api } from "../core/api.js";
import { ask } from "../core/ask.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { announce, h, setAttribute, setHidden, setText } from "../core/dom.js";
import { isOff, keepFocus, setOff } from "../core/focus.js";
import { ago, exactly } from "../core/format.js";
import { at } from "../core/place.js";
import { Poller } from "../core/poller.js";
import { countsInWords, segments, update as updateSegments } from "../core/segments.js";
import { notifyEnd, showInTab } from "../core/signals.js";
import { word } from "../core/words.js";
import { tookOf } from "../lists/run-row.js";
import { showState, stateIcon } from "../lists/state.js";
import { asCounts, FEW } from "./page.js";
import { FleetRows } from "./rows.js";

const get = (id) => document.getElementById(id);
const [BUSY, QUIET] = [2000, 10000];

export function startFleetView(id) {
  const icon = stateIcon();
  const bar = segments(null);
  const rows = new FleetRows(() => poller.now());
  const poller = new Poller(look, { interval: BUSY, failed, answered: clearTrouble });
  let shown = null;

  async function look(signal) {
    if (document.visibilityState === "hidden" && !shown?.in_progress) return true;
    const query = String(rows.query);
    const found = await api(`/runs/${id}?${query}`, { signal, tagged: true });
    if (found === shown || query !== String(rows.query)) return true; // something else is wanted by now
    if (shown?.in_progress && !found.in_progress) notifyEnd(`nodeferry-${id}`, word("lists.fleet_ended"), found.summary.sentence);
    shown = found;
    poller.interval = found.in_progress ? BUSY : QUIET; // a retry may come from another page
    draw(found);
    return true;
  }

  function draw(fleet) {
    const can = new Set(fleet.actions.map(({ name }) => name));
    showState(icon, fleet.summary);
    setText(get("sentence"), fleet.summary.sentence);
    const machines = asCounts(fleet);
    const many = machines.total > FEW; // a bar of node packs would not have those of machines that wait
    updateSegments(bar, many ? machines : fleet.counts);
    const said = many ? word("lists.of_machines", { said: countsInWords(machines) }) : countsInWords(fleet.counts);
    setText(get("in-words"), many || fleet.in_progress ? said : ""); // at the end the sentence has the packs
    rows.draw(fleet);
    setHidden(get("loading"), true);
    keepFocus(() => offer(can), () => get("main"));
    setAttribute(get("began"), "title", exactly(fleet.created_at));
    showInTab(fleet.percent, fleet.summary.tone, fleet.machine.name);
    announce(fleet.summary.sentence);
    tick();
  }

  function offer(can) {
    setHidden(get("stop"), !can.has("stop"));
    setHidden(get("retry"), !can.has("retry"));
  }

  function tick() {
    if (!shown) return;
    setText(get("began"), word("lists.started", { when: ago(shown.created_at) }));
    setText(get("elapsed"), tookOf(shown));
  }

  function failed(error) {
    if (error.status !== 404) return showTrouble(error);
    poller.stop();
    get("fleet").replaceChildren(h("div", { class: "no-rows" }, h("h2", {}, error.message), h("p", { class: "soft" }, word("lists.fleet_gone")), h("a", { class: "btn", href: at("/ui/runs") }, word("lists.to_runs"))));
  }

  async function order(button, what) {
    if (isOff(button)) return;
    setOff(button, true);
    setHidden(get("failure"), true);
    try {
      await api(`/fleet/${id}/${what}`, { body: {} });
      poller.now();
    } catch (error) {
      setText(get("failure"), `${error.message} ${error.hint}`.trim());
      setHidden(get("failure"), false);
    } finally {
      setOff(button, false);
    }
  }

  async function stop() {
    const sure = await ask(word("lists.stop_all_title"), word("lists.stop_all_text"), word("lists.stop_all"), { danger: true });
    if (sure) await order(get("stop"), "cancel");
  }

  get("state").prepend(icon);
  get("counts").prepend(bar);
  get("stop").addEventListener("click", stop);
  get("retry").addEventListener("click", () => order(get("retry"), "retry"));
  setInterval(() => document.visibilityState === "visible" && tick(), 1000);
  poller.start();
}
