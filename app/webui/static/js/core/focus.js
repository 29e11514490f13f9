/** The focus stays on the page: what had it may be hidden or taken away by an answer, and a keyboard would begin at the top. */

const isThere = (node) => node.isConnected && !node.disabled && !node.closest("[hidden]");

/** Changes the page. Whoever had the focus in what is gone then has it in `place()`, which need be no Tab stop. */
export function keepFocus(change, place) {
  const had = document.activeElement;
  const done = change();
  if (had && had !== document.body && !isThere(had)) place()?.focus({ preventScroll: true });
  return done;
}

/** Off, without losing the focus as `disabled` does. Whoever listens for the click asks `isOff`. */
export function setOff(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

export const isOff = (button) => button.getAttribute("aria-disabled") === "true";
