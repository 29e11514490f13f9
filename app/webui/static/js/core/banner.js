/** The line about the service itself, over the page's foot: away, back, updated. It goes away by itself when what it says
 *  is over. */

import { h, readable, setText } from "./dom.js";
import { icon } from "./icons.js";
import { isMissing, showMissing } from "./missing.js";
import { word } from "./words.js";

const banner = () => document.getElementById("banner");
const pages = document.documentElement.dataset.pages;
let shown = "";
let updated = false;
let later = 0;

/** What the service said that is no field's and no button's fault. */
export function showTrouble(error) {
  if (error.unreachable || error.name === "AbortError") return; // it is said already
  if (isMissing(error) && document.body.dataset.id) return showMissing(error);
  put("trouble", "problem", [error.message, error.hint].filter(Boolean).join(" "));
}

export function clearTrouble() {
  if (shown === "trouble") clear();
}

/** A short good word, as long as nothing else is to be said. */
export function flash(text) {
  put("flash", "check", text, { tone: "good" });
  later = setTimeout(() => shown === "flash" && clear(), 4000);
}

function clear() {
  shown = "";
  banner().hidden = true;
  if (updated) showUpdate();
}

function put(kind, picture, text, { tone = null, act = null } = {}) {
  const node = banner();
  if (shown === kind && node.querySelector("span")?.textContent === readable(text)) return;
  clearTimeout(later);
  shown = kind;
  const says = h("span");
  setText(says, text);
  node.replaceChildren(icon(picture), says, ...(act ? [h("button", { type: "button", class: "btn small", onclick: act[1] }, act[0])] : []));
  node.toggleAttribute("data-tone", false);
  if (tone) node.dataset.tone = tone;
  node.hidden = false;
}

function showUpdate() {
  put("updated", "restart", word("shell.updated"), { tone: "live", act: [word("common.reload"), () => location.reload()] });
}

addEventListener("nodeferry:away", () => {
  put("away", "problem", word("shell.away_now"), { act: [word("common.try_now"), () => dispatchEvent(new CustomEvent("nodeferry:try"))] });
});

addEventListener("nodeferry:back", ({ detail }) => {
  if (detail && pages && detail !== pages) updated = true;
  if (shown === "away") {
    clear();
    if (!updated) flash(word("shell.back"));
  }
  if (updated && !shown) showUpdate();
});
