/** A button with a list below it: links and buttons, one Tab stop each, arrows too. See the ARIA Authoring Practices,
 *  "Disclosure". Escape and a click elsewhere close it; the focus goes back to the button. */

import { h } from "./dom.js";
import { icon } from "./icons.js";

let made = 0;

/** A menu to put somewhere: `items` are `{ label, icon, href | onclick, danger, hint, disabled }`, or null for a rule.
 *  A `disabled` item says why with `hint`. `fromLeft`: the list begins at the button's left edge. */
export function menu({ label, items, iconOnly = null, fromLeft = false, className = "btn" }) {
  const button = h("button", { type: "button", class: iconOnly ? `${className} icon-only` : className, "aria-label": iconOnly ? label : null },
    iconOnly ? icon(iconOnly) : [label, icon("down")]);
  const list = h("ul", { class: `menu-list${fromLeft ? " from-left" : ""}`, hidden: true });
  const node = h("div", { class: "menu" }, button, list);
  attachMenu(node);
  setItems(list, items);
  return node;
}

/** Fills a list anew. */
export function setItems(list, items) {
  list.replaceChildren(...items.map((item) => (item ? h("li", {}, itemOf(item)) : h("li", { class: "rule", role: "separator" }))));
}

function itemOf({ label, icon: name, href, onclick, danger = false, hint = "", disabled = false }) {
  const words = hint ? h("span", {}, label, h("br"), h("small", {}, hint)) : label;
  const shared = { class: danger ? "danger" : null };
  const inner = [name ? icon(name) : null, words];
  return href ? h("a", { ...shared, href }, inner) : h("button", { ...shared, type: "button", disabled, onclick }, inner);
}

/** Makes a `.menu` that stands on the page (a button, then a list) work. `opened` is called before it is seen. */
export function attachMenu(node, opened = () => {}) {
  const [button, list] = node.children;
  list.id ||= `menu-${(made += 1)}`;
  button.setAttribute("aria-controls", list.id);
  const set = (open) => {
    if (open) opened();
    list.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  };
  const close = (focus) => {
    if (list.hidden) return;
    set(false);
    if (focus) button.focus();
  };
  set(false);
  button.addEventListener("click", () => set(list.hidden));
  // Before the item's own listener: a dialog that it opens then gives the focus back to the button.
  list.addEventListener("click", (event) => event.target.closest("a, button") && close(!event.target.closest("a")), true);
  node.addEventListener("keydown", (event) => moved(event, list, { set, close }));
  node.addEventListener("focusout", (event) => event.relatedTarget && !node.contains(event.relatedTarget) && close(false));
  document.addEventListener("pointerdown", (event) => !node.contains(event.target) && close(false));
  return { close };
}

function moved(event, list, { set, close }) {
  if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    event.stopPropagation();
    return close(true);
  }
  const step = { ArrowDown: 1, ArrowUp: -1, Home: 0, End: 0 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  if (list.hidden) set(true);
  const all = [...list.querySelectorAll("a, button:not(:disabled)")];
  const here = all.indexOf(document.activeElement);
  const to = { Home: 0, End: all.length - 1 }[event.key] ?? (here < 0 ? (step > 0 ? 0 : -1) : (here + step) % all.length);
  all.at(to)?.focus();
}
