/** Whether the machine that is connected is ready for the workflow that was chosen: its ComfyUI is asked, nothing is
 *  installed. Shown as on a run's page.
 *
 *  Contract: `new MachineCheck(place)`; `offer(wanted)`: `{ command, home, machine, manifest }`, or null where there is
 *  no machine or no workflow. Another machine or workflow takes the verdict away. */

import { api } from "../core/api.js";
import { h, setHidden } from "../core/dom.js";
import { word } from "../core/words.js";
import { Ready } from "../run/ready.js";

const LONGEST_CHECK = 180000;

export class MachineCheck {
  constructor(place) {
    this.ready = new Ready(place, () => {}, { ask: () => this.#ask(false), now: "proof.here" });
    this.put = h("button", { type: "button", class: "btn small", "data-writes": true, onclick: () => this.#ask(true) }, word("proof.put"));
    this.ready.again.before(this.put);
    Object.assign(this, { place, wanted: null, key: null, number: 0 });
  }

  offer(wanted) {
    const key = wanted && keyOf(wanted);
    if (!isSame(key, this.key)) {
      this.number += 1;
      this.proof = wanted && { names: [], in_progress: false, checked_at: null, verdict: null, sentence: word("proof.here_ask", { machine: wanted.machine }), results: [], note: word("proof.here_note") };
    }
    Object.assign(this, { wanted, key });
    this.#show();
  }

  #show() {
    this.ready.update({ in_progress: false, chapters: [], proof: this.proof });
    const { results = [], in_progress: asking } = this.proof ?? {};
    setHidden(this.put, asking || !results.some(({ checked, saved_as: path, problem }) => checked.nodes && !path && !problem));
  }

  async #ask(save) {
    const number = (this.number += 1);
    const { command, home, manifest } = this.wanted;
    const before = this.proof;
    this.proof = { ...before, in_progress: true };
    this.#show();
    try {
      const body = { ssh_connection: command, ui_home: home, manifest, save, first_contact: "ask" };
      const { proof } = await api("/workflow-proofs", { body, timeout: LONGEST_CHECK });
      if (number === this.number) this.proof = proof;
    } catch (error) {
      if (number !== this.number) return;
      this.proof = before;
      throw error;
    } finally {
      this.#show();
    }
  }
}

const keyOf = ({ command, home, manifest }) => [command, home, manifest.workflow ?? JSON.stringify([manifest.workflow_file, manifest.template])];

const isSame = (one, other) => one === other || Boolean(one && other && one.every((part, index) => part === other[index]));
