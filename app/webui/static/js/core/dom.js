/** Small tools for patching a page in place: nothing is drawn anew that did not change, so that focus, selection and
 *  scrolling stay where they are. Text is always text: nothing from outside is parsed as HTML, or turns what is read. */

// Controls but tab and line end, marks of direction, line separators, tags.
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;
const READ_ALOUD = new Set(["title", "aria-label", "alt", "placeholder"]);

/** Text from elsewhere as people may read it. */
export const readable = (text) => String(text).replace(STEERING, "\ufffd");
const asChild = (child) => (child instanceof Node ? child : readable(child));
const asValue = (name, value) => (READ_ALOUD.has(name) ? readable(value) : value);

/** An element: `h("button", { class: "small", onclick }, "Stop")`. Properties starting with "on" are listeners. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : asValue(name, value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false).map(asChild));
  return node;
}

export function setText(node, text) {
  const wanted = readable(text ?? "");
  if (node.textContent === wanted) return;
  const only = node.childNodes.length === 1 ? node.firstChild : null;
  if (only?.nodeType === Node.TEXT_NODE && wanted) only.data = wanted; // what is drawn of it stays, with another text
  else node.textContent = wanted;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(asValue(name, value))) {
    node.setAttribute(name, asValue(name, value));
  }
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** A part of 1 for the bars, through CSSOM since the page's policy allows no inline styles. */
export function setPart(bar, part, name = "--part") {
  const wanted = String(Math.max(0, Math.min(1, part)));
  if (bar.style.getPropertyValue(name) !== wanted) bar.style.setProperty(name, wanted);
}

/** Makes `parent`'s children those of `items`, in order, each made once by `make` and brought up to date by `update`. What
 *  holds the focus is not moved: its neighbours are. */
export function patchList(parent, items, { key, make, update }) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const name = String(key(item));
    const child = known.get(name) ?? make(item);
    if (child.dataset.key !== name) child.dataset.key = name;
    known.delete(name);
    update(child, item);
    return child;
  });
  for (const gone of known.values()) gone.remove();
  const focused = wanted.findIndex((child) => child.contains(document.activeElement));
  place(parent, wanted, focused);
}

function place(parent, wanted, focused) {
  const still = wanted[focused];
  let before = still ?? null;
  for (let index = focused - 1; index >= 0; index -= 1) {
    if (wanted[index].nextElementSibling !== before || !wanted[index].isConnected) parent.insertBefore(wanted[index], before);
    before = wanted[index];
  }
  let after = still ?? null;
  for (let index = still ? focused + 1 : 0; index < wanted.length; index += 1) {
    const here = after ? after.nextElementSibling : parent.firstElementChild;
    if (here !== wanted[index]) parent.insertBefore(wanted[index], here);
    after = wanted[index];
  }
}

let announced = "";
/** Says something to screen readers, once. */
export function announce(text) {
  if (text === announced) return;
  announced = text;
  setText(document.getElementById("announcer"), text);
}
