/** The menu of a row: one for the whole page, above everything, closed by Escape and by a click elsewhere. */

import { h } from "../core/dom.js";

let menu = null;

function made() {
  menu = h("div", { class: "menu", popover: "auto", role: "menu" });
  menu.addEventListener("keydown", move);
  menu.addEventListener("click", (event) => event.target.closest('[role="menuitem"]') && menu.hidePopover());
  document.body.append(menu);
  return menu;
}

function move(event) {
  const items = [...menu.children];
  const here = items.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length).focus();
}

/** Opens it at a button. `items`: `{ label, href }` or `{ label, run }`, with `danger` for what takes something away. */
export function openMenu(button, items) {
  const node = menu ?? made();
  node.replaceChildren(...items.map(item));
  node.setAttribute("aria-label", button.getAttribute("aria-label"));
  const { right, bottom, top } = button.getBoundingClientRect();
  const below = bottom + items.length * 44 + 16 < innerHeight;
  node.style.setProperty("--right", `${Math.max(8, document.documentElement.clientWidth - right)}px`);
  node.style.setProperty("--top", below ? `${bottom + 4}px` : "auto");
  node.style.setProperty("--bottom", below ? "auto" : `${innerHeight - top + 4}px`);
  node.showPopover({ source: button });
  button.setAttribute("aria-expanded", "true");
  node.addEventListener("toggle", () => button.setAttribute("aria-expanded", "false"), { once: true });
  node.firstElementChild.focus();
}

function item({ label, href, run, danger }) {
  const class_ = danger ? "danger" : null;
  if (href) return h("a", { role: "menuitem", class: class_, href, tabindex: "-1" }, label);
  return h("button", { role: "menuitem", type: "button", class: class_, tabindex: "-1", onclick: run }, label);
}
