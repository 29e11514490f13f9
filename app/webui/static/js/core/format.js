/** Numbers and times for people; app/protocol/amounts.py writes the same ones for the command line. Unknown is "", never
 *  a guess. Sizes are decimal, as providers and disks show them. */

import { word } from "./words.js";

const UNITS = ["B", "kB", "MB", "GB", "TB"];
const isKnown = (value) => value !== null && value !== undefined && !Number.isNaN(value);

/** Bytes as 512 B, 2.5 MB, 80 GB: one decimal below ten. */
export function bytes(count) {
  if (!isKnown(count)) return "";
  let [rest, unit] = [Math.max(0, count), 0];
  while (unit < UNITS.length - 1 && Number(shortened(rest, unit)) >= 1000) {
    rest /= 1000;
    unit += 1;
  }
  return `${shortened(rest, unit)} ${UNITS[unit]}`;
}

const shortened = (number, unit) => (unit && number < 9.95 ? Math.floor(number * 10 + 0.5) / 10 : Math.floor(number + 0.5)).toFixed(unit && number < 9.95 ? 1 : 0);

export const rate = (count) => (count ? `${bytes(count)}/s` : "");

/** A count of percent without its decimals: 100 only when all is done. */
export const percent = (number) => (isKnown(number) ? `${Math.floor(number)} %` : "");

/** Seconds as 00:07, 12:34 or 1:02:03. */
export function clock(seconds) {
  if (!isKnown(seconds)) return "";
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${two(minutes)}:${two(rest)}`;
}

/** Seconds in words: "3 s", "2 min", "1 h 5 min", "2 d 3 h". */
export function span(seconds) {
  if (!isKnown(seconds)) return "";
  const whole = Math.max(0, Math.floor(seconds + 0.5));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.floor(whole / 60 + 0.5);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

const LANGUAGE = document.documentElement.lang || "en";
/** The browser's own kind of the page's language, so that en-GB readers have their order of day and month. */
const languageOf = () => navigator.languages?.find((name) => name.split("-")[0] === LANGUAGE.split("-")[0]) ?? LANGUAGE;

/** Made when it is first needed: the first of them takes as long as the rest of a page's script. */
const once = (make) => {
  let made = null;
  return () => (made ??= make());
};
const dateFormat = (options) => once(() => new Intl.DateTimeFormat(languageOf(), options));
const zone = once(() => new Intl.DateTimeFormat().resolvedOptions().timeZone);
const longDate = dateFormat({ dateStyle: "medium", timeStyle: "short" });
const exactDate = dateFormat({ dateStyle: "medium", timeStyle: "medium" });
const timeOfDay = dateFormat({ timeStyle: "short" });
const dayOfYear = dateFormat({ month: "short", day: "numeric" });
const relative = once(() => new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" }));

/** Date and time in the reader's zone. */
export const when = (iso) => (iso ? longDate().format(new Date(iso)) : "");

/** With seconds and the zone's name, for what stands when a time is pointed at. */
export const exactly = (iso) => (iso ? `${exactDate().format(new Date(iso))} (${zone()})` : "");

/** For lists: "just now", "5 minutes ago", "yesterday, 14:03", "12 Nov, 14:03", with the year where it is another. */
export function ago(iso, now = new Date()) {
  if (!iso) return "";
  const then = new Date(iso);
  const seconds = (now - then) / 1000;
  if (seconds < 45) return word("common.just_now");
  if (seconds < 3600) return relative().format(-Math.max(1, Math.floor(seconds / 60)), "minute");
  const days = Math.round((startOfDay(now) - startOfDay(then)) / 86400000);
  if (days === 0) return relative().format(-Math.floor(seconds / 3600), "hour");
  if (days === 1) return `${relative().format(-1, "day")}, ${timeOfDay().format(then)}`;
  return then.getFullYear() === now.getFullYear() ? `${dayOfYear().format(then)}, ${timeOfDay().format(then)}` : when(iso);
}

const startOfDay = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
