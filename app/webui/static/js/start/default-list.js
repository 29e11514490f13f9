/** The recommended list: as the service reads it, with its age, or through a machine where the service does not reach it. What
 *  is shown stays as it is until somebody wants the newer one: an install is of what is shown. */

import { api } from "../core/api.js";
import { setHidden, setText } from "../core/dom.js";
import { ago } from "../core/format.js";
import { word } from "../core/words.js";

const FRESH_MS = 3600000;
const LOOK_MS = 60000;
const TIMEOUT = 45000;
const sameOf = (nodes) => JSON.stringify(nodes ?? null);

export class DefaultList {
  /** `came(nodes)`: the packs; null where nobody could read them. */
  constructor(came) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { came, said: get("default-said"), ways: get("default-ways"), through: get("default-through"), again: get("default-again"), newer: get("default-newer"), asked: null, now: null, next: null, connection: null });
    this.again.addEventListener("click", () => this.load());
    this.through.addEventListener("click", () => this.load(this.connection));
    this.newer.addEventListener("click", () => this.#show(this.next));
    document.addEventListener("visibilitychange", () => this.#lookAgain());
    setInterval(() => this.#lookAgain(), LOOK_MS);
  }

  /** An address that is connected to now, or null: the list can be read through it. */
  offer(connection) {
    this.connection = connection;
    setHidden(this.through, !connection);
  }

  /** Asks for the list, once for all who wait. */
  load(connection = null) {
    this.asked = this.#ask(connection);
    return this.asked;
  }

  /** Tells of the list, which is asked for if nobody has. */
  loaded() {
    if (this.now) this.came(this.now.nodes);
    else if (!this.asked) this.load();
  }

  async #ask(connection) {
    setText(this.said, word("start.default_reading"));
    setHidden(this.ways, true);
    try {
      this.#show(await api("/manifests/default", connection ? { body: { ssh_connection: connection }, timeout: TIMEOUT } : { timeout: TIMEOUT }));
    } catch (error) {
      this.#show({ nodes: null, problem: error });
    }
  }

  /** A page that has been open for long: is there a newer list than the one that it shows? */
  async #lookAgain() {
    const readAt = this.now?.nodes ? Date.parse(this.now.read_at) : Infinity;
    if (document.visibilityState !== "visible" || this.looking || Date.now() - readAt < FRESH_MS) return;
    this.looking = true;
    try {
      const found = await api("/manifests/default", { timeout: TIMEOUT });
      if (!found.nodes || found.read_at === this.now.read_at) this.#tell(this.now, found.problem);
      else if (sameOf(found.nodes) === sameOf(this.now.nodes)) this.#show(found);
      else this.#tell(this.now, null, found);
    } catch {
      this.#tell(this.now, null);
    } finally {
      this.looking = false;
    }
  }

  #show(found) {
    const isSame = this.now && sameOf(found.nodes) === sameOf(this.now.nodes);
    this.now = found;
    this.#tell(found, found.problem);
    if (!isSame) this.came(found.nodes);
  }

  /** `next`: a newer list that could be shown. */
  #tell({ nodes, read_at: at }, problem, next = null) {
    this.next = next;
    const key = !nodes ? "start.default_missing" : next ? "start.default_changed" : problem ? "start.default_old" : "start.default_read";
    setText(this.said, word(key, { ago: ago(at), why: problem?.message ?? "" }));
    setHidden(this.newer, !next);
    setHidden(this.again, Boolean(next));
    setHidden(this.ways, !problem && !next);
  }
}
