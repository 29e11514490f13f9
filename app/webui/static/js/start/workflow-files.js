/** Files that hold workflows, sent to the service: one list of all, and what of them could not be read. */

import { ApiError, api } from "../core/api.js";
import { word } from "../core/words.js";
import { MayBeWorkflow, NoList, manifestIn } from "./file-kind.js";

const UPLOAD_MS = 900000;
export const MOST_FILES = 50;

/** Sends files one after another: the service reads few at a time. Answers with the ids and names of those that were read,
 *  and with a sentence of each other one; rejects with AbortError when `signal` is aborted. */
export async function sendAll(files, signal) {
  const sent = { ids: [], names: [], lost: [] };
  for (const file of [...files].slice(0, MOST_FILES)) await sendOne(file, sent, signal);
  if (files.length > MOST_FILES) sent.lost.push(word("workflow.too_many", { n: files.length, most: MOST_FILES }));
  return sent;
}

async function sendOne(file, sent, signal) {
  try {
    await nothingElse(file);
    const { file_id: id } = await api(`/workflow-files?name=${encodeURIComponent(file.name.slice(-200))}`, { file, timeout: UPLOAD_MS, signal });
    sent.ids.push(id);
    sent.names.push(file.name);
  } catch (error) {
    if (error instanceof NoList) sent.lost.push(error.message);
    else if (error instanceof ApiError) sent.lost.push(word("start.file_wrong", { name: file.name, why: error.code.startsWith("workflow_file") ? error.message : `${error.message} ${error.hint}`.trim() }));
    else throw error;
  }
}

/** Throws NoList for a file that holds no workflow: it is named for what it is. */
async function nothingElse(file) {
  try {
    await manifestIn(file);
  } catch (error) {
    if (error instanceof MayBeWorkflow) return;
    throw error;
  }
  throw new NoList(word("workflow.is_list", { name: file.name }));
}
