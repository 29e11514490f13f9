/** Which machines of a fleet are shown: how they stand, what is searched, and which page of them. The address has it. */

export const ROWS = 100;
export const FEW = 12; // so many are seen at one look
const KINDS = {
  running: ["connecting", "waiting_for_machine", "question", "working", "cut", "stopping"],
  waiting: ["queued"],
  ready: ["ready", "planned", "put_back", "restarted", "proven"],
  stopped: ["stopped"],
};

/** What the address asks for. */
export function fromAddress() {
  const given = new URLSearchParams(location.search);
  const show = given.get("show") ?? "";
  const page = Number(given.get("page"));
  return { show: show === "needs" || Object.hasOwn(KINDS, show) ? show : "", q: given.get("q") ?? "", offset: Number.isInteger(page) && page > 1 ? (page - 1) * ROWS : 0 };
}

export function toAddress({ show, q, offset }) {
  const wanted = new URLSearchParams();
  if (show) wanted.set("show", show);
  if (q) wanted.set("q", q);
  if (offset) wanted.set("page", offset / ROWS + 1);
  history.replaceState(history.state, "", wanted.size ? `?${wanted}` : location.pathname);
}

/** As the API is asked for it. */
export function asQuery({ show, q, offset }) {
  const wanted = new URLSearchParams({ limit: ROWS });
  if (offset) wanted.set("offset", offset);
  if (q) wanted.set("q", q);
  if (show === "needs") wanted.set("needing", "true");
  else if (show) wanted.set("state", KINDS[show].join());
  return wanted;
}

/** How many machines there are behind each choice. */
export function numbers({ kinds, needing }) {
  const all = Object.values(kinds).reduce((sum, n) => sum + n, 0);
  const of = (names) => names.reduce((sum, name) => sum + (kinds[name] ?? 0), 0);
  return { "": all, needs: needing.total, ...Object.fromEntries(Object.entries(KINDS).map(([name, names]) => [name, of(names)])) };
}

/** The machines as a bar of counts has node packs: those whose packs are not known yet are part of it too. */
export function asCounts(fleet) {
  const { kinds } = fleet;
  const of = (...names) => names.reduce((sum, name) => sum + (kinds[name] ?? 0), 0);
  return {
    total: Object.values(kinds).reduce((sum, n) => sum + n, 0),
    ready: of(...KINDS.ready),
    problem: of("partial"),
    failed: of("failed", "lost", "nothing"),
    skipped: 0,
    cancelled: of("stopped"),
    working: of(...KINDS.running),
    waiting: of("queued"),
  };
}
