/** Progress and what has changed of it: the other half of app/sync/installs/patches.py. */

const LISTS = { nodes: "name", phases: "name", steps: "name", builds: "package" };

/** A patch that was made for another revision than the one that is here. */
export class Misfit extends Error {}

/** The progress after an answer (whole, patch, or that nothing is new), the names of the node packs whose rows changed, and
 *  whether the list of packs itself did. Nothing is changed in place: a row that is the same object is the same. Throws
 *  Misfit where the answer does not belong to `progress`. */
export function applyPatch(progress, answer) {
  const { line, since, patch, unchanged, ...fields } = answer;
  if (!patch && !unchanged) return whole(progress, fields);
  if (!progress || progress.task_id !== answer.task_id || progress.revision !== (unchanged ? answer.revision : since)) throw new Misfit("Another revision");
  if (unchanged) return { progress: { ...progress, last_event_seconds_ago: answer.last_event_seconds_ago }, changed: new Set(), order: false };
  const { set, ...rows } = patch;
  const next = { ...progress, ...fields, ...set };
  for (const [list, by] of Object.entries(rows)) next[list] = patched(progress[list], by, LISTS[list]);
  if ("nodes" in set) return whole(progress, next);
  return { progress: next, changed: new Set(Object.keys(rows.nodes ?? {})), order: false };
}

const patched = (list, by, key) => list.map((row) => (Object.hasOwn(by, row[key]) ? { ...row, ...by[row[key]] } : row));

/** A whole answer, with the rows that stayed the same kept as they are. */
function whole(before, progress) {
  const known = new Map(before?.nodes.map((row) => [row.name, row]));
  const texts = (row) => JSON.stringify(row);
  const nodes = progress.nodes.map((row) => {
    const old = known.get(row.name);
    return old && texts(old) === texts(row) ? old : row;
  });
  const changed = new Set(nodes.filter((row) => known.get(row.name) !== row).map((row) => row.name));
  const order = nodes.length !== known.size || nodes.some((row, place) => before.nodes[place]?.name !== row.name);
  return { progress: { ...progress, nodes }, changed, order };
}
