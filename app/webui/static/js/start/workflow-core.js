/** What a workflow needs of ComfyUI itself: what the one of the machine lacks, or which one is enough. */

import { h, setHidden, setText } from "../core/dom.js";
import { word } from "../core/words.js";

const TOO_OLD = "comfyui_too_old";
const MOST_NAMED = 5;

/** `says`: the place of what is wrong; `needs`: of the version that is enough. */
export function fillCore(says, needs, core) {
  const notes = [...core.verdicts.map(note), ...unheard(core)];
  const isOld = core.verdicts.some(({ code }) => code === TOO_OLD);
  setHidden(says, !notes.length);
  says.replaceChildren(...notes);
  setHidden(needs, isOld || !core.needs);
  setText(needs, core.needs ? word(core.comfyui_version ? "workflow.new_enough" : "workflow.needs_core", { needs: core.needs, here: core.comfyui_version ?? "" }) : "");
}

/** Whether a run of it stops before anything is fetched. */
export const stopsEarly = (core) => core.verdicts.some(({ certain }) => certain);

const note = ({ title, message, hint, certain }) => h("div", { class: "note", "data-tone": certain ? "bad" : "warn" }, h("strong", {}, title), h("p", {}, [message, hint].filter(Boolean).join(" ")));

/** Nodes that no ComfyUI is known to have, as long as no machine is. */
function unheard({ newer_than_known: isNewer, too_new: missing, comfyui_version: version }) {
  if (version || !isNewer || !missing.length) return [];
  const more = missing.length > MOST_NAMED ? word("workflow.and_more", { n: missing.length - MOST_NAMED }) : "";
  return [h("p", { class: "note", "data-tone": "warn" }, word("workflow.too_old", { names: missing.slice(0, MOST_NAMED).join(", ") + more }))];
}
