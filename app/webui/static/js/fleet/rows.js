/** The machines of a fleet: first those that need somebody, then a page of them, in the order in which they were given. */

import { announce, patchList, setAttribute, setHidden, setText } from "../core/dom.js";
import { keys } from "../core/keys.js";
import { word } from "../core/words.js";
import { holdOf } from "../lists/hold.js";
import { asQuery, FEW, fromAddress, numbers, ROWS, toAddress } from "./page.js";
import { makeMachine, updateMachine } from "./row.js";

const get = (id) => document.getElementById(id);
const TYPING = 250;
const rowsOf = { key: (run) => run.run_id, make: makeMachine, update: updateMachine };

export class FleetRows {
  /** `changed()`: other machines are wanted. */
  constructor(changed) {
    Object.assign(this, { changed, wanted: fromAddress(), fleet: null, typing: null });
    this.held = holdOf(get("rows"), get("state"), () => this.#needs());
    get("search").value = this.wanted.q;
    this.#listen();
  }

  /** What is asked for. */
  get query() {
    return asQuery(this.wanted);
  }

  #listen() {
    for (const chip of get("chips").children) chip.addEventListener("click", () => this.#choose({ show: chip.dataset.show }));
    get("search").addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.#choose({ q: get("search").value.trim() }), TYPING);
    });
    get("everything").addEventListener("click", () => {
      get("search").value = "";
      this.#choose({ show: "", q: "" });
      get("search").focus();
    });
    get("needs-all").addEventListener("click", () => {
      this.#choose({ show: "needs" });
      get("chips").querySelector("[data-show=needs]").focus();
    });
    get("previous").addEventListener("click", () => this.#turn(-1));
    get("next").addEventListener("click", () => this.#turn(1));
    for (const list of [get("rows"), get("needs-rows")]) list.addEventListener("keydown", (event) => this.#byArrows(event));
    keys.register("j", "lists.key_next", () => this.#go(1));
    keys.register("k", "lists.key_previous", () => this.#go(-1));
    keys.register("n", "lists.key_next_page", () => this.#turn(1));
    keys.register("p", "lists.key_previous_page", () => this.#turn(-1));
    keys.register("/", "lists.search_fleet", () => get("search").focus());
  }

  #choose(wanted) {
    this.wanted = { ...this.wanted, offset: 0, ...wanted };
    toAddress(this.wanted);
    this.#choices();
    this.changed();
  }

  #turn(step) {
    const offset = this.wanted.offset + step * ROWS;
    if (!this.fleet || offset < 0 || offset >= this.fleet.page.total) return;
    this.#choose({ offset });
    get("find").scrollIntoView({ block: "start" });
  }

  /** To the next or the previous machine: `step` is 1 or -1. */
  #go(step) {
    const links = [...document.querySelectorAll(".fleet-row .run-said")];
    const here = links.indexOf(document.activeElement);
    links[here < 0 ? 0 : Math.min(Math.max(here + step, 0), links.length - 1)]?.focus();
  }

  #byArrows(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(".run-said")) return;
    event.preventDefault();
    this.#go(step);
  }

  /** The fleet as the service has told it for `query`. */
  draw(fleet) {
    this.fleet = fleet;
    const { page, runs } = fleet;
    if (!runs.length && page.total) return this.#choose({ offset: Math.floor((page.total - 1) / ROWS) * ROWS });
    patchList(get("rows"), runs, rowsOf);
    this.#choices();
    if (!this.held()) this.#needs();
    setHidden(get("nothing"), runs.length > 0);
    setHidden(get("pages"), page.total <= ROWS);
    const said = word("lists.fleet_page", { first: page.offset + 1, last: page.offset + runs.length, total: page.total });
    setText(get("page-words"), said);
    get("previous").disabled = page.offset === 0;
    get("next").disabled = page.next_offset === null;
  }

  #choices() {
    if (!this.fleet) return;
    const counted = numbers(this.fleet);
    setHidden(get("find"), counted[""] <= FEW && !this.wanted.show && !this.wanted.q);
    for (const chip of get("chips").children) {
      setAttribute(chip, "aria-pressed", String(chip.dataset.show === this.wanted.show));
      setText(chip.querySelector(".num"), counted[chip.dataset.show].toLocaleString());
    }
  }

  /** Only while nobody points at the rows below, which it moves. */
  #needs() {
    if (!this.fleet) return;
    const { total, runs } = this.fleet.needing;
    const wanted = total > 0 && numbers(this.fleet)[""] > FEW && !this.wanted.show && !this.wanted.q && !this.wanted.offset;
    patchList(get("needs-rows"), wanted ? runs : [], rowsOf);
    setHidden(get("needs"), !wanted);
    setHidden(get("needs-all"), total <= runs.length);
    setText(get("needs-all"), word("lists.fleet_show_all", { n: total }));
    if (wanted) announce(`${word("lists.fleet_needs")}: ${total}`);
  }
}
