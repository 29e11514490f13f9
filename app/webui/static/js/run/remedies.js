/** What helps against a reason besides doing the same again: a retry with another choice, as the hint names it. */

import { word } from "../core/words.js";

const REMEDIES = [
  [/--allow-yanked (\S+?)\)/, "run.retry_yanked", (pin) => ({ allow_yanked: [pin] })],
  [/system_packages set to install/, "run.retry_system", () => ({ system_packages: "install" })],
  [/"existing": "reinstall"/, "run.retry_reinstall", () => ({ existing: "reinstall" })],
  [/"existing": "update"/, "run.retry_update", () => ({ existing: "update" })],
];

/** The button of a retry that the hint speaks of, and what it asks for; null where there is none. */
export function remedyOf(hint) {
  for (const [pattern, key, options] of REMEDIES) {
    const found = pattern.exec(hint);
    if (found) return { label: word(key, { pin: found[1] }), body: { options: options(found[1]) } };
  }
  return null;
}
