/** When the page has been painted as it came. */

const LONGEST = 200;

/** Resolves then, and at once where nobody sees the page: what a page carries is on the screen before its script works. */
export const painted = () =>
  new Promise((resolve) => {
    if (document.visibilityState === "hidden") return resolve();
    setTimeout(resolve, LONGEST);
    requestAnimationFrame(() => setTimeout(resolve));
  });
