/** The machine that the run is on: what it is, what ComfyUI on it is, where the run stands. */

import { h, setHidden, setText } from "../core/dom.js";
import { bytes, when } from "../core/format.js";
import { word } from "../core/words.js";
import { about, isHidden, versionOf } from "./about.js";
import { fact, short } from "./facts.js";

const MIB_PER_GIB = 1024; // cards are sold by these

export class MachineTab {
  constructor(element) {
    Object.assign(this, { element, asked: "", drawn: "" });
    this.all = h("div", { class: "machine", hidden: true });
    this.empty = h("p", { class: "tab-empty soft" }, word("log.machine_not_yet"));
    element.append(this.all, this.empty);
  }

  async update(progress) {
    const version = versionOf(progress);
    if (isHidden(this.element) || this.asked === version) return;
    this.asked = version;
    try {
      const task = await about(`/tasks/${progress.task_id}`, version);
      if (this.asked === version) this.#draw(task);
    } catch (error) {
      this.asked = "";
      setText(this.empty, error.message);
    }
  }

  #draw(task) {
    const drawn = JSON.stringify([task.probe, task.task_id, task.progress.in_progress]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const known = Object.keys(task.probe).length > 0;
    setText(this.empty, word(task.progress.in_progress ? "log.machine_not_yet" : "log.machine_never"));
    setHidden(this.empty, known);
    setHidden(this.all, false);
    this.all.replaceChildren(...[known ? comfyui(task.probe) : null, known ? hardware(task.probe) : null, run(task)].filter(Boolean));
  }
}

function group(name, facts) {
  const known = facts.filter(Boolean);
  return known.length ? h("section", { "aria-label": name }, h("h3", {}, name), h("dl", {}, known)) : null;
}

const mono = (name, value, shown = value) => fact(name, shown, { mono: true, whole: value });

function comfyui(probe) {
  const { torch } = probe;
  const graphics = torch ? [torch.version, torch.cuda_available === false ? word("log.without_gpu") : null].filter(Boolean).join(", ") : null;
  return group(word("log.comfyui"), [
    mono(word("log.folder"), probe.ui_home),
    fact(word("log.version"), probe.comfyui_version),
    mono(word("log.commit"), probe.comfyui_commit, short(probe.comfyui_commit)),
    fact(word("log.running"), probe.comfyui_running === undefined ? null : word(probe.comfyui_running ? "log.yes" : "log.no")),
    mono(word("log.interpreter"), probe.interpreter),
    fact(word("log.python"), probe.python),
    fact(word("log.torch"), graphics),
  ]);
}

function cardWords({ name, memory_mib: memory }) {
  const size = Math.round(Number.parseFloat(memory) / MIB_PER_GIB);
  return size > 0 ? word("log.card", { name, memory: size }) : name;
}

function hardware(probe) {
  const cards = (probe.gpu ?? []).map(cardWords);
  const disk = probe.disk_free_bytes === undefined ? null : word("log.disk_free", { free: bytes(probe.disk_free_bytes), total: bytes(probe.disk_total_bytes) });
  return group(word("log.hardware"), [
    fact(word("log.gpu"), cards.length ? cards.join(", ") : probe.gpu === null ? word("log.no_gpu") : null),
    fact(word("log.driver"), probe.driver),
    fact(word("log.disk"), disk),
    fact(word("log.processors"), probe.processors),
    fact(word("log.system"), probe.system),
  ]);
}

function run(task) {
  return group(word("log.this_run"), [
    mono(word("log.connection"), task.ssh_connection),
    fact(word("log.started"), when(task.created_at)),
    fact(word("log.finished"), when(task.finished_at)),
    mono(word("log.run_id"), task.task_id, short(task.task_id, 8)),
    mono(word("log.retry_of"), task.retry_of, short(task.retry_of, 8)),
  ]);
}
