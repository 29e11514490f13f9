/** What of the runs is shown. It stands in the address, so that reload, Back and a link show the same. */

export const STATES = ["", "running", "needs_you", "ready", "problems", "stopped"];

export function fromAddress() {
  const asked = new URLSearchParams(location.search);
  const state = STATES.includes(asked.get("state")) ? asked.get("state") : "";
  return { state, instance: asked.get("instance") ?? "", q: asked.get("q") ?? "" };
}

export const isFiltered = (filters) => Object.values(filters).some(Boolean);

export function queryOf(filters, more = {}) {
  return String(new URLSearchParams(Object.entries({ ...filters, ...more }).filter(([, value]) => value)));
}

/** `step`: whether Back leads to what was shown before. Typing makes no steps. */
export function toAddress(filters, { step }) {
  const query = queryOf(filters);
  const address = location.pathname + (query && `?${query}`);
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}
