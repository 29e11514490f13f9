/** The commands in a hint: what a person would paste into a terminal, so that it can be copied alone. */

import { h } from "../core/dom.js";
import { copy } from "../core/files.js";
import { toast } from "../core/toast.js";
import { word } from "../core/words.js";

const PROGRAMS = "apt-get install|apt install|dnf install|apk add|pip install|uv pip install|git config|git lfs|ssh-keyscan|ssh-keygen|chown|chmod|export";
const COMMAND = new RegExp(`(?:sudo )?(?:\\S*python3?(?:\\.\\d+)? -m )?(?:${PROGRAMS})\\b[^()\\n]*?(?=\\)|\\.(?:\\s|$)|,\\s(?:or|then|and)\\b|\\s\\(|,?\\sor\\s|$)`, "g");
const SHORTEST = 12;

export const commandsIn = (hint) => [...new Set((hint ?? "").match(COMMAND) ?? [])].map((text) => text.trim()).filter((text) => text.length >= SHORTEST);

/** A command with a button that copies it. */
export function commandLine(text) {
  const button = h("button", { type: "button", class: "btn small", "aria-label": word("run.copy_command", { text }) }, word("common.copy"));
  button.addEventListener("click", async () => toast(word((await copy(text)) ? "common.copied" : "common.copy_by_hand")));
  return h("p", { class: "need-command" }, h("code", { tabindex: "0", "aria-label": text }, text), button);
}
