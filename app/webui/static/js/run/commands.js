/** The commands in a hint: what a person would paste into a terminal, so that it can be copied alone. */

const PROGRAMS = "apt-get install|apt install|dnf install|apk add|pip install|uv pip install|git config|git lfs|ssh-keyscan|ssh-keygen|chown|chmod|export";
const COMMAND = new RegExp(`(?:sudo )?(?:${PROGRAMS})\\b[^()\\n]*?(?=\\)|\\.(?:\\s|$)|,\\s(?:or|then|and)\\b|\\s\\(|,?\\sor\\s|$)`, "g");
const SHORTEST = 12;

export const commandsIn = (hint) => [...new Set((hint ?? "").match(COMMAND) ?? [])].map((text) => text.trim()).filter((text) => text.length >= SHORTEST);
