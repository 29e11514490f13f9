/** The menu of a row: one for the whole list, made when it is opened, above everything wherever the row is. Escape and a
 *  click elsewhere close it, and the focus goes back. */

import { h } from "../core/dom.js";
import { setItems } from "../core/menu.js";

const ITEM = 44;
let list = null;
let opener = null;

function made() {
  list = h("ul", { class: "menu-list row-menu", popover: "auto" });
  list.addEventListener("keydown", move);
  list.addEventListener("click", (event) => event.target.closest("a, button") && list.hidePopover());
  list.addEventListener("toggle", ({ newState }) => opener?.setAttribute("aria-expanded", String(newState === "open")));
  document.body.append(list);
  return list;
}

function move(event) {
  const items = [...list.querySelectorAll("a, button")];
  const here = items.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length).focus();
}

/** Opens it at a button. `items`: as those of core/menu.js. */
export function openMenu(button, items) {
  const node = list ?? made();
  opener = button;
  setItems(node, items);
  node.setAttribute("aria-label", button.getAttribute("aria-label"));
  const { right, bottom, top } = button.getBoundingClientRect();
  const below = bottom + items.length * ITEM < innerHeight;
  node.style.setProperty("--right", `${Math.max(8, document.documentElement.clientWidth - right)}px`);
  node.style.setProperty("--top", below ? `${bottom + 4}px` : "auto");
  node.style.setProperty("--bottom", below ? "auto" : `${innerHeight - top + 4}px`);
  node.showPopover({ source: button });
  node.querySelector("a, button").focus();
}
