/** What runs now, in the bar: the run with its percent, "3 running" with a line for each, or nothing. */

import { api } from "./api.js";
import { h, patchList, setAttribute, setText } from "./dom.js";
import { percent } from "./format.js";
import { icon, setIcon } from "./icons.js";
import { attachMenu } from "./menu.js";
import { at } from "./place.js";
import { Poller } from "./poller.js";
import { word } from "./words.js";

const INTERVAL = 10000;
const BESIDE_OWN = 30000;
const PATH = "/runs?in_progress=true&limit=50";

let own = null; // the run that this page follows, as it knows it
let others = [];
let asked = null;

/** A run as the bar has it, of a row of GET /runs. */
const lineOf = (run) => {
  const { kind, tone, sentence } = run.summary;
  return { id: run.run_id, name: run.machine?.name || run.list?.label || "", percent: run.percent, question: kind === "question", tone: tone === "good" || tone === "idle" ? "live" : tone, sentence };
};

/** The run that the page itself follows, as its last answer has it: it is not asked for once more. Null: it has ended. */
export function ownRun(run) {
  const line = run?.in_progress ? lineOf(run) : { id: run?.run_id ?? own?.id, ended: true };
  if (JSON.stringify(line) === JSON.stringify(own)) return;
  own = line;
  draw();
}

export function startBar() {
  const node = document.getElementById("bar-now");
  others = JSON.parse(node.dataset.runs).map(lineOf);
  draw();
  new Poller(ask, { interval: INTERVAL }).start({ known: !("login" in document.documentElement.dataset) });
}

async function ask(signal) {
  if (document.visibilityState === "hidden" || (own && !own.ended && performance.now() - asked < BESIDE_OWN)) return true;
  const { runs } = await api(PATH, { signal, tagged: true });
  asked = performance.now();
  others = runs.map(lineOf);
  draw();
  return true;
}

function draw() {
  const runs = [...(own && !own.ended ? [own] : []), ...others.filter(({ id }) => id !== own?.id)];
  const node = document.getElementById("bar-now");
  const kind = runs.length > 1 ? "several" : runs.length ? "one" : "none";
  if (node.dataset.kind !== kind) node.replaceChildren(...{ none: () => [], one: () => [single()], several: () => [several()] }[kind]());
  node.dataset.kind = kind;
  if (kind === "one") update(node.firstElementChild, runs[0]);
  if (kind === "several") updateSeveral(node.firstElementChild, runs);
}

const single = () => h("a", { class: "now-run" }, icon("working"), h("span", { class: "name" }), h("span", { class: "figure" }));

const pictureOf = ({ question, tone }) => (question ? "question" : tone === "live" ? "working" : "problem");
const figureOf = (run) => (run.question ? word("common.needs_you") : percent(run.percent));

function update(link, run) {
  const [picture, name, figure] = link.children;
  setAttribute(link, "href", at(`/ui/run/${run.id}`));
  setAttribute(link, "data-tone", run.tone);
  setAttribute(link, "data-asks", run.question ? "" : null);
  setAttribute(link, "title", run.sentence);
  setAttribute(link, "aria-label", `${run.name} ${figureOf(run)}`);
  setIcon(picture, pictureOf(run));
  setText(name, run.name);
  setText(figure, figureOf(run));
}

function several() {
  const button = h("button", { type: "button", class: "now-run" }, icon("working"), h("span", { class: "figure" }), h("span", { class: "short" }), icon("down"));
  const node = h("div", { class: "menu" }, button, h("ul", { class: "menu-list from-left now-list", hidden: true }));
  attachMenu(node);
  return node;
}

function updateSeveral(node, runs) {
  const [button, list] = node.children;
  const asks = runs.filter(({ question }) => question).length;
  const [picture, figure, short] = button.children;
  const text = [word("shell.now_several", { n: runs.length }), asks ? word("shell.now_need", { n: asks }) : null].filter(Boolean).join(", ");
  setIcon(picture, asks ? "question" : "working");
  setAttribute(button, "data-tone", asks ? "warn" : "live");
  setAttribute(button, "aria-label", text);
  setText(figure, text);
  setText(short, runs.length);
  patchList(list, runs, { key: ({ id }) => id, make: () => h("li", {}, h("a", { class: "now-line" }, icon("working"), h("span", { class: "cut" }), h("span", { class: "num" }), h("small"))), update: updateLine });
}

function updateLine(item, run) {
  const link = item.firstElementChild;
  const [picture, name, figure, sentence] = link.children;
  setAttribute(link, "href", at(`/ui/run/${run.id}`));
  setIcon(picture, pictureOf(run));
  setAttribute(link, "data-tone", run.tone);
  setText(name, run.name);
  setText(figure, figureOf(run));
  setText(sentence, run.sentence);
}
