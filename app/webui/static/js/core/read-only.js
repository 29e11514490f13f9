/** With a token that is for looking only, what writes is out of use, and says why. A button, link or form that writes has
 *  the attribute `data-writes`. */

import { isReadOnly } from "./access.js";
import { toast } from "./toast.js";
import { word } from "./words.js";

function mark(root) {
  const found = [...(root.matches?.("[data-writes]") ? [root] : []), ...(root.querySelectorAll?.("[data-writes]") ?? [])];
  for (const node of found) {
    if (node.tagName === "FORM") continue;
    node.setAttribute("aria-disabled", "true");
    node.title = word("shell.read_only_why");
  }
}

function refuse(event) {
  const target = event.type === "submit" ? event.submitter ?? event.target : event.target;
  if (!isReadOnly() || !(target.closest?.("[data-writes]:not(form)") || (event.type === "submit" && event.target.matches("[data-writes]")))) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  toast(word("shell.read_only_why"));
}

/** From now on, if the token of this browser is for looking only. */
export function watchReadOnly() {
  addEventListener("click", refuse, true);
  addEventListener("submit", refuse, true);
  addEventListener("nodeferry:who", () => {
    if (!isReadOnly()) return;
    mark(document.body);
    new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach((node) => node instanceof Element && mark(node))))
      .observe(document.body, { childList: true, subtree: true });
  }, { once: true });
}
