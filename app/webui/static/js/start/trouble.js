/** What went wrong with a connection, for people who rent a machine twice a year: what it means, and what to do. */

import { word } from "../core/words.js";
import { WORDS } from "../core/word-table.js";

/** After these an install may begin all the same: it waits for its machine. */
export const MAY_COME = new Set(["connect_failed", "connection_lost", "command_timed_out"]);

/** Title and advice of a failed test; the service's own words where the table has none. `exactly`: those words, where
 *  they are not shown yet. */
export function troubleOf(found) {
  if (found.error === "no_ssh_key" && found.unusable_keys?.length) return { title: word("start.keys_useless"), advice: word("start.keys_useless_do"), exactly: found.message };
  const key = `start.trouble_${found.error}`;
  if (!(key in WORDS)) return { title: found.message, advice: found.hint, exactly: "" };
  return { title: word(key), advice: word(`${key}_do`), exactly: found.message };
}
