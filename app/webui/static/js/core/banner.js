/** The banner about the service itself. It goes away by itself when the service answers again. */

import { h, readable, setText } from "./dom.js";
import { logIn } from "./session.js";

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
  const why = h("span", { role: "alert" });
  const field = h("input", { type: "password", "aria-label": "Token", autocomplete: "off", required: true });
  const form = h("form", {}, field, h("button", { class: "small", type: "submit" }, "Use it"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = await logIn(field.value.trim());
    if (said.ok) location.reload();
    else setText(why, `${said.message ?? "That did not work."} ${said.hint ?? ""}`);
  });
  put("token", "This service wants a token. The link that it showed at its first start has one; `run.py token new` makes another.");
  banner().append(form, why);
});
