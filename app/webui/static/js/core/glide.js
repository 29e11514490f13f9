/** Rows that change their place move there, where a jump would lose the eye (and count as a shift of the layout). */

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Where the children of a list stand; to be asked before they are moved. Those that are on their way are there at once. */
export function standing(list) {
  if (still.matches) return new Map();
  const children = [...list.children];
  for (const child of children) put(child, "none", "");
  return new Map(children.map((child) => [child, child.offsetTop]));
}

/** Lets those that stand elsewhere now begin where they were. Transforms go through CSSOM: the page allows no inline styles. */
export function glide(stood) {
  const moved = [...stood].map(([child, top]) => [child, top - child.offsetTop]).filter(([child, way]) => way !== 0 && child.isConnected);
  for (const [child, way] of moved) put(child, "none", `translateY(${way}px)`);
  if (!moved.length) return;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    for (const [child, way] of moved) if (child.style.transform === `translateY(${way}px)`) put(child, "transform .25s ease-out", "");
  }));
}

function put(child, transition, transform) {
  child.style.transition = transition;
  child.style.transform = transform;
}
