/** What a chosen or dropped file is, by its content: the names of files lie. What is no list is named for what it is. */

import { word } from "../core/words.js";
import { linesOf } from "./pasted.js";

export const MOST_BYTES = 900000;

/** First bytes of files that are no text, as latin-1. */
const SIGNATURES = [
  ["picture", /^(?:GIF8|BM.{4}\0\0|.{4}ftyp(?:avif|heic|mif1))/s],
  ["workflow", /^(?:\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP|.{4}ftyp|\x1aE\xdf\xa3|fLaC|OggS|ID3|glTF)/s],
  ["video", /^RIFF.{4}AVI /s],
  ["archive", /^(?:PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ|.{257}ustar)/s],
  ["pdf", /^%PDF/],
  ["model", /^(?:.{8}\{"|GGUF)/s],
  ["binary", /^(?:\x7fELF|MZ|\xca\xfe\xba\xbe)/],
];

/** A file that is no list. `message` says what it is. */
export class NoList extends Error {}

/** A file that may hold a workflow: the service reads it. */
export class MayBeWorkflow extends Error {}

/** The manifest in a file, as the API takes it, and its text. Throws NoList, MayBeWorkflow. */
export async function manifestIn(file) {
  const name = file.name;
  const no = (kind, n = 0) => new NoList(word(`start.file_${kind}`, { name, n: n || 1 }));
  let bytes;
  try {
    bytes = new Uint8Array(await file.slice(0, MOST_BYTES + 1).arrayBuffer());
  } catch {
    throw no("unreadable");
  }
  const start = String.fromCharCode(...bytes.subarray(0, 600));
  const kind = SIGNATURES.find(([, pattern]) => pattern.test(start))?.[0];
  if (kind === "workflow") throw new MayBeWorkflow();
  if (kind && !(kind === "model" && /^[\s\w{["]/.test(start.slice(0, 8)))) throw no(kind);
  if (!bytes.length) throw no("empty");
  const text = textOf(bytes);
  if (bytes.length > MOST_BYTES && !OWN_SCRIPT.test(text)) throw /^\s*[{]/.test(text) ? new MayBeWorkflow() : no("large");
  if (text.includes("\0")) throw no("binary");
  return [manifestOf(text, no), text];
}

/** UTF-8, or UTF-16 as Windows' PowerShell writes it, or else what older Windows programs write. */
function textOf(bytes) {
  const [first, second] = bytes;
  const big = (first === 0xfe && second === 0xff) || (first === 0 && second);
  const small = (first === 0xff && second === 0xfe) || (first && second === 0);
  if (big || small) return new TextDecoder(big ? "utf-16be" : "utf-16le").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** A list in any form that the service reads. `no(kind, n)` makes the error for what is none. */
export function manifestOf(text, no, isPasted = false) {
  if (!text.trim()) throw no("empty");
  if (/^\s*<(?:!doctype|html|head|\?xml)/i.test(text)) throw no("html");
  const own = OWN_SCRIPT.exec(text);
  if (own) return { file: atob(own[1].replace(/\s/g, "")) }; // of a script of ours only the lock is sent
  if (isSnapshot(text)) return { manager_snapshot: text };
  if (OTHER_TOOLS.test(text)) return { file: text };
  if (/^\s*[{[]/.test(text)) return ofJson(text, no);
  if (/^\s*["']?node_packs["']?\s*:|^\s*(?:comfyui|pips)\s*:/m.test(text)) return { manager_snapshot: text };
  if (/^.{0,200}\bRepoUrl\b/im.test(text)) return { csv: text };
  if (/^\s*(?:[-*]\s+)?["'<[]?(?:https?:\/\/|git@|git clone |ssh:\/\/)/m.test(text) || /(?:github|gitlab)\.com[/:]/.test(text)) return { urls: linesOf(text) };
  if (OF_REGISTRY.test(text) || (isPasted && linesOf(text).every((line) => BARE_ID.test(line)))) return { urls: linesOf(text) };
  if (/^\s*(?:import |from \w+ import |def |#!)/m.test(text)) throw no("script");
  if (/^[A-Za-z][\w.-]*\s*(?:[=<>~!]=|\[|;|$)/m.test(text) && !/[,;\t].*[,;\t]/.test(text.split("\n")[0])) throw no("requirements");
  return { csv: text };
}

const OWN_SCRIPT = /<<'NODEFERRY_LOCK'[^\n]*\n([A-Za-z0-9+/=\s]+)NODEFERRY_LOCK/;

/** Files of other tools that are no JSON, or have a word that nothing else has. */
const OTHER_TOOLS = /comfyui-desktop-2-snapshot|^[\s{]*["']?schema["']?\s*:\s*["']?comfy-build\/|^(?:git_repos|apt_packages|pip_packages|conditional_downloads|customNodes)\s*:|^[ \t]*(?:declare -a )?\w*(?:NODES|MODELS)\w*\+?=\(|^\s*(?:export )?PROVISIONING_(?:GIT_REPOS|DOWNLOADS)=/m;

/** Of those that are JSON, by what they have; the service looks closer. */
const isOtherTools = (found) => ["customNodes", "definition", "steps", "git_repos", "docker_command_steps"].some((name) => name in found) || (typeof found.custom_nodes === "object" && found.custom_nodes !== null);

/** A line `id@version`, or comfy-cli's command: the name and version of a pack in ComfyUI's registry. */
const OF_REGISTRY = /^\s*(?:[-*$]\s+)?["'`]?(?:[A-Za-z0-9][\w.-]*@(?:v?\d|latest\b|nightly\b)|(?:uvx? )?comfy(?:-cli)? node (?:registry-)?install )/m;

const BARE_ID = /^\s*(?:[-*]\s+)?[A-Za-z0-9][\w-]{0,99}\s*$/;

const isSnapshot = (text) => /^[\s{,]*["']?(git_custom_nodes|cnr_custom_nodes)["']?\s*:/m.test(text) && !/"node_packs"\s*:/.test(text);

function ofJson(text, no) {
  let found;
  try {
    found = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    if (/["']?node_packs["']?\s*:/.test(text)) return { manager_snapshot: text }; // a lock that is not quite JSON
    throw no("json_broken", lineOf(error, text));
  }
  if (isWorkflow(found)) throw new MayBeWorkflow();
  if (Array.isArray(found) && found.length) return typeof found[0] === "string" ? { urls: found } : { nodes: found };
  if (found.lock) return { lock: found.lock };
  if (Array.isArray(found.node_packs)) return { lock: found };
  if (isOtherTools(found)) return { file: found };
  const forms = ["urls", "nodes", "csv", "repo"].filter((form) => form in found);
  if (forms.length === 1) return found;
  throw no("json");
}

/** A workflow as ComfyUI saves it, or as its API takes it. */
function isWorkflow(found) {
  if (Array.isArray(found?.nodes) && (Array.isArray(found.links) || found.nodes.some((node) => node?.type && node.pos))) return true;
  return Object.values(found ?? {}).some((node) => node && typeof node === "object" && "class_type" in node);
}

function lineOf(error, text) {
  const line = /line (\d+)/.exec(error.message);
  if (line) return Number(line[1]);
  const at = /position (\d+)/.exec(error.message);
  return text.slice(0, at ? Number(at[1]) : text.length).split("\n").length;
}
