/** The log of the run or of one pack, from the byte where the last look ended. */

import { api } from "../core/api.js";
import { h, patchList, setText } from "../core/dom.js";
import { bytes } from "../core/format.js";

const KEPT_CHARS = 400000;
const LEAST_BYTES = 16; // what the API takes at least
const SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|[ -/]*[0-~]?)/g;

export const logPath = (taskId, node, offset, limit = "") =>
  `/tasks/${taskId}/log?offset=${offset}${node ? `&node=${encodeURIComponent(node)}` : ""}${limit ? `&limit=${limit}` : ""}`;

/** The last lines of a pack's log; "" where there is none. */
export async function logTail(taskId, node, lines = 12) {
  try {
    const first = await api(logPath(taskId, node, 0, LEAST_BYTES));
    if (!first.size) return "";
    const from = Math.max(0, first.size - 8192);
    const { text } = await api(logPath(taskId, node, from));
    return asLines(text).trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return ""; // there is no log, or no service: the row says what is known without it
  }
}

/** Programs redraw their progress line with carriage returns and colours: the last state of each line is what they said. */
const asLines = (text) => text.replace(SEQUENCE, "").replaceAll("\r\n", "\n").replace(/[^\n]*\r(?!\n)/g, "");

export class Log {
  constructor(taskId, { log, logOf, logFollow, logSize }) {
    Object.assign(this, { taskId, log, logOf, logFollow, logSize, offset: 0, raw: "", busy: false });
    logOf.addEventListener("change", () => this.#restart());
  }

  /** The packs that can be chosen. */
  names(nodes) {
    const wanted = ["", ...nodes.map((node) => node.name)];
    patchList(this.logOf, wanted, {
      key: (name) => name,
      make: (name) => h("option", { value: name }, name || "the whole run"),
      update: () => {},
    });
  }

  async look() {
    if (this.busy) return;
    this.busy = true;
    try {
      let more = true;
      while (more) more = await this.#part();
    } catch (error) {
      setText(this.logSize, error.message);
    } finally {
      this.busy = false;
    }
  }

  async #part() {
    const node = this.logOf.value;
    const part = await api(logPath(this.taskId, node, this.offset));
    if (node !== this.logOf.value) return true;
    setText(this.logSize, part.size ? bytes(part.size) : "nothing has been written yet");
    if (!part.text) return false;
    this.offset = part.next_offset;
    this.raw = (this.raw + part.text).slice(-KEPT_CHARS);
    setText(this.log, asLines(this.raw));
    if (this.logFollow.checked) this.log.scrollTop = this.log.scrollHeight;
    return part.next_offset < part.size;
  }

  #restart() {
    Object.assign(this, { offset: 0, raw: "" });
    setText(this.log, "");
    this.look();
  }
}
