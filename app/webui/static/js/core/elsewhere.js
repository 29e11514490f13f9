/** Who else is told when a run ends or needs somebody (Discord, mail and others): its state, an off switch, a test. */

import { api } from "./api.js";
import { openDialog } from "./ask.js";
import { h, setText } from "./dom.js";
import { ago } from "./format.js";
import { toast } from "./toast.js";
import { word } from "./words.js";

/** Opens the dialog. */
export async function showElsewhere() {
  const body = h("div", { class: "stack" }, h("p", { class: "soft" }, word("notify.loading")));
  openDialog({ title: word("notify.elsewhere"), body });
  await change(body, () => api("/notifications"));
}

/** Draws what `asked` answers; what went wrong stands in the dialog. */
async function change(body, asked) {
  try {
    const state = await asked();
    body.replaceChildren(...parts(body, state), closing());
  } catch (error) {
    body.querySelector(".field-error")?.remove();
    body.append(h("p", { class: "field-error", role: "alert" }, `${error.message} ${error.hint ?? ""}`));
  }
}

function parts(body, state) {
  if (state.state === "off") return [h("p", {}, word("notify.none_set")), h("p", { class: "soft" }, word("notify.how"))];
  if (state.state === "unusable") return [h("p", { class: "note", "data-tone": "warn" }, state.problem)];
  const isOn = state.state === "on";
  const set = () => change(body, () => api("/notifications", { body: { on: !isOn } }));
  return [
    h("p", {}, word(isOn ? "notify.is_on" : "notify.is_paused")),
    h("ul", {}, state.receivers.map(({ service, address }) => h("li", {}, service, " ", h("span", { class: "mono soft" }, address)))),
    h("p", { class: "small soft", role: "status" }, lastOf(state.last)),
    h("div", { class: "row" },
      h("button", { type: "button", class: "btn", "data-writes": true, onclick: set }, word(isOn ? "notify.switch_off" : "notify.switch_on")),
      isOn ? h("button", { type: "button", class: "btn", "data-writes": true, onclick: () => test(body, state.last) }, word("notify.send_test")) : null),
  ];
}

const lastOf = (last) => (last ? word(last.ok ? "notify.last_ok" : "notify.last_failed", { when: ago(last.at) }) : "");
const closing = () => h("div", { class: "row" }, h("button", { type: "submit", class: "btn primary" }, word("common.close")));

/** Sends a test, and says how it went once that is known. */
async function test(body, before) {
  await change(body, () => api("/notifications/test", { body: {} }));
  for (let tries = 0; tries < 20 && body.isConnected; tries += 1) {
    const state = await api("/notifications").catch(() => null);
    if (state?.last && state.last.at !== before?.at) {
      body.replaceChildren(...parts(body, state), closing());
      return setText(body.querySelector("[role=status]"), word(state.last.ok ? "notify.test_ok" : "notify.test_failed"));
    }
    await new Promise((resolve) => setTimeout(resolve, 700));
  }
  toast(word("notify.test_unknown"));
}
