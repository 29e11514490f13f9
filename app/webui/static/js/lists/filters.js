/** What of the runs is shown. It stands in the address, so that reload, Back and a link show the same. */

/** What is asked for where a chip is on, by its name in the address. */
const STATES = {
  "": {},
  running: { in_progress: "true" },
  needs_you: { state: "question" },
  ready: { tone: "good" },
  problems: { state: "partial,nothing,failed,lost,restarted,put_back", tone: "bad,warn" },
  stopped: { state: "stopped" },
};

export function fromAddress() {
  const asked = new URLSearchParams(location.search);
  const state = Object.hasOwn(STATES, asked.get("state") ?? "") ? asked.get("state") ?? "" : "";
  return { state, instance: asked.get("instance") ?? "", q: asked.get("q") ?? "" };
}

export const isFiltered = (filters) => Object.values(filters).some(Boolean);

const queryOf = (values) => String(new URLSearchParams(Object.entries(values).filter(([, value]) => value)));

/** As GET /runs wants it. */
export const askedFor = ({ state, ...others }, more) => queryOf({ ...others, ...STATES[state], ...more });

/** `step`: whether Back leads to what was shown before. Typing makes no steps. */
export function toAddress(filters, { step }) {
  const query = queryOf(filters);
  const address = location.pathname + (query && `?${query}`);
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}
