/** The machines that are remembered: how they stand, install there, forget. */

import { api } from "../core/api.js";
import { ask } from "../core/ask.js";
import { clearTrouble, showTrouble } from "../core/banner.js";
import { patchList, setHidden } from "../core/dom.js";
import { Poller } from "../core/poller.js";
import { toast } from "../core/toast.js";
import { word } from "../core/words.js";
import { makeMachine, runsOf, setWrong, updateMachine } from "../lists/machine-row.js";

const get = (id) => document.getElementById(id);
const EVERY = 4000;
const MANY = 8;
let machines = null;

async function look(signal) {
  if (document.visibilityState !== "visible") return true;
  ({ instances: machines } = await api("/instances", { signal, tagged: true }));
  draw();
  return true;
}

function draw() {
  const asked = get("search").value.trim().toLowerCase();
  const wanted = machines.filter(({ name, ssh_connection: ssh, gpu, ui_home: home }) => [name, ssh, gpu, home].join(" ").toLowerCase().includes(asked));
  patchList(get("rows"), wanted, { key: (machine) => machine.instance_id, make: (machine) => makeMachine(machine, itemsOf), update: updateMachine });
  setHidden(get("loading"), true);
  setHidden(get("rows"), !wanted.length);
  setHidden(get("search"), machines.length <= MANY);
  setHidden(get("empty"), machines.length > 0);
  setHidden(get("no-match"), !machines.length || wanted.length > 0);
}

function itemsOf(machine) {
  return [
    { label: word("lists.its_runs"), href: runsOf(machine) },
    { label: word("lists.forget"), onclick: () => forget(machine), danger: true },
  ];
}

async function forget(machine) {
  const row = [...get("rows").children].find(({ dataset }) => dataset.key === machine.instance_id);
  setWrong(row, "");
  if (!(await ask(word("lists.forget_title", { machine: machine.name }), word("lists.forget_text"), word("lists.forget"), { danger: true }))) return;
  try {
    await api(`/instances/${encodeURIComponent(machine.instance_id)}`, { method: "DELETE" });
    machines = machines.filter((other) => other !== machine && other.instance_id !== machine.instance_id);
    draw();
    get("main").focus();
    toast(word("lists.forgotten", { machine: machine.name }));
  } catch (error) {
    setWrong(row, `${error.message} ${error.hint}`.trim());
  }
}

get("search").addEventListener("input", draw);
const poller = new Poller(look, { interval: EVERY, failed: showTrouble, answered: clearTrouble });
poller.start();
