/** What this browser remembers between visits: the last choices on the start page. No secrets; nothing leaves the browser. */

const PREFIX = "nodeferry:";

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
