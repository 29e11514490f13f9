/** The banner about the service itself. It goes away by itself when the service answers again. */

import { useToken } from "./api.js";
import { h, readable } from "./dom.js";

const banner = () => document.getElementById("banner");
let shown = "";

export function showTrouble(error) {
  if (error.status === 401) return; // the token's question stands there
  const text = error.unreachable
    ? "Nodeferry does not answer. Your install goes on without it; this page tries again by itself."
    : `${error.message} ${error.hint}`;
  put("trouble", text);
}

export function clearTrouble() {
  if (!shown) return;
  const wasTrouble = shown === "trouble";
  shown = "";
  banner().hidden = true;
  if (wasTrouble) flash("Nodeferry answers again.");
}

export function flash(text) {
  put("flash", text, "good");
  setTimeout(() => shown === "flash" && clearTrouble(), 4000);
}

function put(kind, text, tone = null) {
  const node = banner();
  if (shown === kind && node.textContent === readable(text)) return;
  shown = kind;
  node.replaceChildren(readable(text));
  node.toggleAttribute("data-tone", false);
  if (tone) node.dataset.tone = tone;
  node.hidden = false;
}

addEventListener("nodeferry:token-wanted", () => {
  if (shown === "token") return;
  const field = h("input", { type: "password", "aria-label": "Token", autocomplete: "off", required: true });
  const form = h("form", {}, field, h("button", { class: "small", type: "submit" }, "Use it"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(field.value);
    location.reload();
  });
  put("token", "This service wants its token (NODEFERRY_TOKEN).");
  banner().append(form);
});
