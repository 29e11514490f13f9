/** What a tested machine is, in one line, with the rest of it folded. */

import { h } from "../core/dom.js";
import { bytes } from "../core/format.js";
import { icon } from "../core/icons.js";
import { word } from "../core/words.js";

/** One line and its details. `found`: the answer of POST /ssh/test. */
export function machineLine(found) {
  const parts = [graphics(found), comfyui(found), found.disk_free_bytes === null ? "" : word("start.free", { size: bytes(found.disk_free_bytes) })];
  const line = h("span", { class: "badge", "data-tone": "good" }, icon("ready"), h("span", {}, word("start.connected")));
  const rest = h("span", { class: "tested-facts" }, parts.filter(Boolean).map((text) => h("span", {}, text)));
  const warnings = found.warnings ?? [];
  const remarks = warnings.length ? h("span", { class: "soft" }, word("start.notes", { n: warnings.length })) : null;
  const details = h("details", { class: "tested-line" }, h("summary", {}, line, rest, remarks, h("span", { class: "soft more" }, word("start.details"))), facts(found), warnings.map((text) => h("p", { class: "note", "data-tone": "warn" }, text)));
  const busy = found.provisioning?.length ? h("p", { class: "note", "data-tone": "warn" }, word("start.setting_up", { what: found.provisioning.join(", ") })) : null;
  return [details, busy].filter(Boolean);
}

/** What people call it: the first part of its name, and its port. */
export function shortName(endpoint) {
  const address = endpoint.slice(endpoint.lastIndexOf("@") + 1);
  const [, host, port] = /^(.*?)(:\d+)?$/.exec(address);
  const name = /^[\d.]+$|[:[]|^ssh\./.test(host) ? host : host.split(".")[0];
  return `${name}${port === ":22" ? "" : port ?? ""}`;
}

function graphics({ gpu }) {
  if (!gpu?.length) return word("start.gpu_none");
  const name = gpu[0].name.replace(/^NVIDIA\s+/, "").replace(/^GeForce\s+/, "");
  const size = Math.round(gpu[0].memory_mib / 1024);
  const same = gpu.every((card) => card.name === gpu[0].name);
  if (!same) return gpu.map((card) => card.name.replace(/^NVIDIA (?:GeForce )?/, "")).join(", ");
  return gpu.length > 1 ? word("start.gpus", { n: gpu.length, name, size }) : word("start.gpu", { name, size });
}

function comfyui({ comfyui_version: version, comfyui_running: runs }) {
  return word(runs ? "start.comfyui_runs" : "start.comfyui_stopped", { version: version ?? "" }).replace("  ", " ");
}

function facts(found) {
  const disk = found.disk_free_bytes === null ? "" : word("start.disk", { free: bytes(found.disk_free_bytes), total: bytes(found.disk_total_bytes) });
  const rows = [
    [word("start.fact_comfyui"), found.ui_home, true],
    [word("start.fact_python"), found.interpreter ?? word("start.python_none"), true],
    [word("start.fact_torch"), torch(found)],
    [word("start.fact_gpu"), (found.gpu ?? []).map((card) => card.name).join(", ") || word("start.gpu_none")],
    [word("start.fact_disk"), disk],
    [word("start.fact_reached"), found.endpoint, true],
    [word("start.fact_key"), found.host_key.sha256, true],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, text]) => text).map(([name, text, mono]) => h("div", {}, h("dt", {}, name), h("dd", { class: mono ? "mono" : null }, text))));
}

function torch({ torch: found, torch_error: error }) {
  if (!found) return error ?? word("start.torch_none");
  return word(found.cuda_available ? "start.torch_cuda" : "start.torch_no_cuda", { version: found.version });
}
