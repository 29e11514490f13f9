/** One run for whoever has its link. The secret stands behind # of the address, where no server and no log sees it. */

import { h, patchList, readable, setAttribute, setHidden, setText } from "../core/dom.js";
import { ago, span } from "../core/format.js";
import { badge } from "../core/icons.js";
import { at } from "../core/place.js";
import { segments, update } from "../core/segments.js";
import { word } from "../core/words.js";

const EVERY = 4000;
const get = (id) => document.getElementById(id);
let tag = "";
let bar = null;

/** Whether to go on: not after the end, nor with a link that shows nothing. */
async function look() {
  const headers = { "Status-Link": location.hash.slice(1), ...(tag ? { "If-None-Match": tag } : {}) };
  const answer = await fetch(at("/status"), { headers, cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (answer.status === 304) return true;
  const found = await answer.json();
  if (answer.status === 404) return gone();
  if (!answer.ok) throw new Error(found.message);
  tag = answer.headers.get("ETag") ?? "";
  draw(found);
  return found.in_progress;
}

/** Nothing stays of what the link has shown. */
function gone() {
  setText(get("sentence"), word("status.gone"));
  setText(get("facts"), word("status.gone_why"));
  document.title = `${word("status.gone")} · Nodeferry`;
  get("bar").replaceChildren();
  get("rows").replaceChildren();
  return false;
}

function draw(run) {
  setText(get("sentence"), run.summary.sentence);
  document.title = readable(`${run.in_progress ? `${Math.floor(run.percent)} % · ` : ""}${run.summary.sentence} · Nodeferry`);
  const parts = [run.list.label, word("status.began", { when: ago(run.created_at) }), run.seconds ? word("status.took", { span: span(run.seconds) }) : ""];
  setText(get("facts"), parts.filter(Boolean).join(" · "));
  if (!bar) get("bar").append((bar = segments(run.counts)));
  update(bar, run.counts);
  patchList(get("rows"), run.nodes, { key: ({ machine, name }) => `${machine ?? ""}/${name}`, make, update: patch });
}

const where = ({ machine }) => (machine === null ? null : h("small", { class: "soft" }, ` ${word("status.machine", { n: machine })}`));
const make = (node) => h("li", {}, h("span", { class: "status-mark" }), h("b", {}, node.name, where(node)), h("span", { class: "soft" }));

function patch(row, node) {
  const [mark, , why] = row.children;
  if (mark.dataset.standing !== node.standing) mark.replaceChildren(badge(node.standing));
  setAttribute(mark, "data-standing", node.standing);
  setText(why, node.problem ?? "");
}

async function round() {
  let goOn = true;
  if (document.visibilityState === "visible") {
    try {
      goOn = await look();
      setHidden(get("lost"), true);
    } catch {
      setText(get("lost"), word("status.lost"));
      setHidden(get("lost"), false);
    }
  }
  if (goOn) setTimeout(round, EVERY);
}

addEventListener("hashchange", () => location.reload());
round();
