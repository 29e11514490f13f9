/** What this browser remembers between visits: instances and the last recipe. No secrets; nothing leaves the browser. */

const PREFIX = "nodeferry:";
const MOST_INSTANCES = 6;

export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return otherwise; // storage is off, or holds something else
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // storage is off or full: then it is not remembered
  }
}

export const instances = () => recall("instances", []).filter((text) => typeof text === "string");

export function rememberInstance(text) {
  remember("instances", [text, ...instances().filter((other) => other !== text)].slice(0, MOST_INSTANCES));
}
