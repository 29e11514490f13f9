/** The run's status link: made, copied, ended. */

import { api } from "../core/api.js";
import { openDialog } from "../core/ask.js";
import { h } from "../core/dom.js";
import { copy } from "../core/files.js";
import { ago } from "../core/format.js";
import { origin } from "../core/place.js";
import { toast } from "../core/toast.js";
import { word } from "../core/words.js";

/** Opens the dialog of a run. Rejects where the service does not answer. */
export async function share(runId) {
  const path = `/runs/${runId}/link`;
  const state = await api(path);
  const body = h("div", { class: "stack" });
  openDialog({ title: word("status.share"), body });
  draw(body, path, state);
}

function draw(body, path, state) {
  const step = (method, after) => async () => {
    try {
      const found = await api(path, { method, body: {} });
      draw(body, path, found);
      await after?.(found);
    } catch (error) {
      body.querySelector(".field-error")?.remove();
      body.append(h("p", { class: "field-error", role: "alert" }, `${error.message} ${error.hint}`.trim()));
    }
  };
  body.replaceChildren(...parts(state, step), h("div", { class: "row" }, h("button", { type: "submit", class: "btn" }, word("common.close"))));
}

function parts(state, step) {
  if (!state.allowed) return [h("p", {}, word("status.share_off"))];
  const made = state.made_at !== null;
  const link = state.path ? `${origin}${state.path}` : "";
  const copied = async ({ path }) => (await copy(`${origin}${path}`)) && toast(word("status.share_copied"));
  return [
    h("p", { class: "soft" }, word("status.share_text")),
    link ? h("input", { type: "text", class: "mono", readonly: true, value: link, "aria-label": word("status.share_field") })
      : h("p", {}, made ? word("status.share_made", { when: ago(state.made_at) }) : word("status.share_none")),
    h("div", { class: "row" },
      h("button", { type: "button", class: "btn primary", "data-writes": true, onclick: step("POST", copied) }, word(made ? "status.share_again" : "status.share_make")),
      made ? h("button", { type: "button", class: "btn danger", "data-writes": true, onclick: step("DELETE") }, word("status.share_end")) : null),
  ];
}
