/** Notifications of this browser: asked for by a button only, off again by the same one, and one for each thing that is
 *  told, however many tabs see it. */

import { readable } from "./dom.js";
import { recall, remember } from "./memory.js";

const MOST_TOLD = 200;
const isThere = "Notification" in window && window.isSecureContext;

/** "none" (this browser has none here), "blocked" (the person said no to the browser), "on" or "off". */
export function notifyState() {
  if (!isThere) return "none";
  if (Notification.permission === "denied") return "blocked";
  return Notification.permission === "granted" && recall("notify", false) === true ? "on" : "off";
}

/** Switches them on, which asks the browser where it was not asked before, or off. The state then. */
export async function switchNotify(wanted) {
  if (isThere && wanted && Notification.permission === "default") await Notification.requestPermission();
  remember("notify", wanted && isThere && Notification.permission === "granted");
  dispatchEvent(new CustomEvent("nodeferry:notify"));
  return notifyState();
}

/** Tells, unless this page is seen or another tab has told already. `tag`: what is told, as `RUN_ID end`. */
export async function notifyBrowser(title, text, { tag = `${title} ${text}` } = {}) {
  if (notifyState() !== "on" || !(await isFirst(tag)) || document.visibilityState === "visible") return;
  const note = new Notification(readable(title), { body: readable(text), tag });
  note.onclick = () => {
    window.focus();
    note.close();
  };
}

/** Whether nobody has told this; from now on somebody has. A page that is seen counts: its person has read it. */
function isFirst(tag) {
  const look = () => {
    const told = recall("told", []);
    if (told.includes(tag)) return false;
    remember("told", [...told, tag].slice(-MOST_TOLD));
    return true;
  };
  return navigator.locks ? navigator.locks.request("nodeferry-notify", look) : look();
}
