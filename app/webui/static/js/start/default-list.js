/** The recommended list: as the service reads it, with its age, or through a machine where the service does not reach it. */

import { api } from "../core/api.js";
import { setHidden, setText } from "../core/dom.js";
import { ago } from "../core/format.js";
import { word } from "../core/words.js";

const FRESH_SECONDS = 3600;
const TIMEOUT = 45000;

export class DefaultList {
  /** `came(nodes, isWhole)`: the packs (null where nobody could read them), and whether an install would read the same. */
  constructor(came) {
    const get = (id) => document.getElementById(id);
    Object.assign(this, { came, said: get("default-said"), ways: get("default-ways"), through: get("default-through"), asked: null, now: null, connection: null });
    get("default-again").addEventListener("click", () => this.load());
    this.through.addEventListener("click", () => this.load(this.connection));
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
    if (this.now) this.came(...this.now);
    else if (!this.asked) this.load();
  }

  async #ask(connection) {
    setText(this.said, word("start.default_reading"));
    setHidden(this.ways, true);
    let found;
    try {
      found = await api("/manifests/default", connection ? { body: { ssh_connection: connection }, timeout: TIMEOUT } : { timeout: TIMEOUT });
    } catch (error) {
      found = { nodes: null, problem: error, age_seconds: null };
    }
    this.#tell(found);
    this.now = [found.nodes, !found.problem && found.age_seconds < FRESH_SECONDS];
    this.came(...this.now);
  }

  #tell({ nodes, problem, read_at: at }) {
    const key = !nodes ? "start.default_missing" : problem ? "start.default_old" : "start.default_read";
    setText(this.said, word(key, { ago: ago(at), why: problem?.message ?? "" }));
    setHidden(this.ways, !problem);
  }
}
