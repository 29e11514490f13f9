/** What differs between two runs: their node packs, the packages of their locks, machines and options. */

import { word } from "../core/words.js";

const OPTIONS = ["existing", "exact", "run_scripts", "verify", "restart", "plan_only", "on_failure", "require"];
const namesOf = (one, other) => [...new Set([...one.keys(), ...other.keys()])].toSorted((a, b) => a.localeCompare(b));

function between(one, other, same) {
  const names = namesOf(one, other);
  const rows = names.filter((name) => !same(one.get(name), other.get(name))).map((name) => [name, one.get(name), other.get(name)]);
  return { total: names.length, rows };
}

const essence = (node) => node && `${node.standing} ${node.commit} ${node.error?.code}`;

/** Node packs by name; a pack is the same where it stands the same, at the same commit. */
export function packs(sides) {
  const [one, other] = sides.map(({ task }) => new Map((task?.progress.nodes ?? []).map((node) => [node.name, node])));
  return between(one, other, (a, b) => essence(a) === essence(b));
}

/** Packages by name; null where a side has no lock. */
export function packages(sides) {
  if (sides.some(({ lock }) => !lock?.packages)) return null;
  const [one, other] = sides.map(({ lock }) => new Map(Object.entries(lock.packages)));
  return between(one, other, (a, b) => a === b);
}

const onOff = (value) => (value === true ? word("lists.yes") : value === false ? word("lists.no") : String(value));

function settingsOf({ run, task }) {
  const probe = task?.probe ?? {};
  const gpu = (probe.gpu ?? []).map(({ name }) => name).join(", ");
  const found = new Map([
    ["machine", run.machine.name],
    ["folder", probe.ui_home ?? run.machine.ui_home],
    ["python", probe.interpreter],
    ["comfyui", probe.comfyui_commit?.slice(0, 12)],
    ["gpu", gpu || (probe.ui_home ? word("lists.no_gpu_there") : undefined)],
  ]);
  for (const name of OPTIONS) found.set(name, task && onOff(task.request.options[name]));
  return new Map([...found].filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => [word(`lists.set_${name}`), value]));
}

export function settings(sides) {
  const [one, other] = sides.map(settingsOf);
  return between(one, other, (a, b) => a === b);
}
