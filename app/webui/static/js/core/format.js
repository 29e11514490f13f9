/** Numbers and times for people. Unknown is "", never a guess. */

export function bytes(count) {
  if (count === null || count === undefined) return "";
  let rest = count;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (rest < 1024) return `${unit === "B" ? rest.toFixed(0) : rest.toFixed(1)} ${unit}`;
    rest /= 1024;
  }
  return `${rest.toFixed(1)} GiB`;
}

export const rate = (count) => (count ? `${bytes(count)}/s` : "");

/** Seconds as 0:07, 12:34 or 1:02:03. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Seconds in words: "3 s", "2 min", "1 h 5 min". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
export const when = (iso) => (iso ? WHEN.format(new Date(iso)) : "");

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
