/** Tells every part of the page when the computer has slept (`nodeferry:woke`): the clock of the day went on while nothing here
 *  did. A tab that is not seen is slowed down by the browser in the same way, and asks anew when it is seen again. */

const EVERY = 1000;
const SLEPT = 8000;
let seen = Date.now();

function look() {
  const slept = Date.now() - seen > SLEPT;
  seen = Date.now();
  if (slept && document.visibilityState === "visible") dispatchEvent(new CustomEvent("nodeferry:woke"));
}

setInterval(look, EVERY);
