/** A run's list once more: the start page reads it from the run. */

import { at } from "../core/place.js";

/** Where the same is installed again: on the same machine, or on one that is still to be named. */
export function againAt(run, { elsewhere = false } = {}) {
  const ssh = elsewhere ? null : run.machine.ssh_connection;
  return at(`/?${new URLSearchParams({ from: run.run_id, ...(ssh ? { ssh } : {}) })}`);
}
