/** How long ago something was, also when the computer slept meanwhile: the browser's own clock (performance.now) stands still
 *  then on some systems, and the clock of the day may be set. The longer of both is told. */

export const now = () => ({ day: Date.now(), own: performance.now() });

/** Seconds since `now()` was asked. */
export const secondsSince = ({ day, own }) => Math.max(Date.now() - day, performance.now() - own, 0) / 1000;
