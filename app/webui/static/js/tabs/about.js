/** What the tabs besides the rows ask for, once for all of them: GET /tasks/ID and its lock. */

import { api } from "../core/api.js";

const known = new Map();

/** What stands at `path`; the same promise again for the same `version` of it. */
export function about(path, version) {
  const found = known.get(path);
  if (found?.version === version) return found.answer;
  const answer = api(path);
  known.set(path, { version, answer });
  answer.catch(() => known.get(path)?.answer === answer && known.delete(path));
  return answer;
}

/** Changes whenever the machine, the plan or the lock of a run may have. */
export const versionOf = (progress) => [progress.task_id, progress.state, progress.phase, progress.packages_total, progress.revision >> 5].join(" ");

/** Whether nobody sees a tab: it is drawn when it is shown. */
export const isHidden = (element) => Boolean(element.closest("[hidden]"));
