/** Whether the rows of a list must stay where they are: somebody points at one, has the focus in it, or has scrolled. */

/** `released()` is called when they may move again. The position is watched, never measured. */
export function holdOf(rows, top, released) {
  let pointed = false;
  let atTop = true;
  const held = () => pointed || !atTop || rows.contains(document.activeElement);
  const check = () => held() || released();
  rows.addEventListener("pointerenter", (event) => { pointed = event.pointerType === "mouse"; });
  rows.addEventListener("pointerleave", () => { pointed = false; check(); });
  rows.addEventListener("focusout", () => setTimeout(check));
  new IntersectionObserver(([entry]) => { atTop = entry.isIntersecting; check(); }).observe(top);
  return held;
}
