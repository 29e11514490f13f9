/** What can be done about an install, as buttons; each says what became of it. */

import { api } from "../core/api.js";
import { ask } from "../core/ask.js";
import { flash, showTrouble } from "../core/banner.js";
import { h, patchList, setText } from "../core/dom.js";
import { copy, download } from "../core/files.js";
import { at, isShared, origin, reach } from "../core/place.js";
import { askToNotify, canAsk } from "../core/signals.js";
import { isInstalled } from "../core/states.js";

const changed = (progress) => progress.nodes.some((node) => node.commit && !node.kept);
const bad = (progress) => progress.nodes.filter((node) => !isInstalled(node) || node.error);

export class Actions {
  /** `task()` answers GET /tasks/ID once more; `look()` polls now. */
  constructor(taskId, place, { look }) {
    Object.assign(this, { taskId, place, look, busy: new Set() });
  }

  update(progress) {
    patchList(this.place, this.#wanted(progress), {
      key: (action) => action.name,
      make: (action) => h("button", { type: "button", class: action.tone ?? "", onclick: (event) => this.#run(action.name, event.currentTarget) }, action.label),
      update: (button, action) => {
        setText(button, action.label);
        button.disabled = this.busy.has(action.name);
      },
    });
    this.progress = progress;
  }

  #wanted(progress) {
    const failed = bad(progress).length;
    const ended = progress.completed;
    const all = [
      { name: "stop", label: progress.state === "cancelling" ? "Stopping…" : "Stop", tone: "danger", when: !ended },
      { name: "retry", label: failed ? `Retry ${failed} failed` : "Install again", tone: "primary", when: ended && (failed > 0 || progress.state !== "completed") },
      { name: "restart", label: "Restart ComfyUI", tone: failed ? "" : "primary", when: ended && progress.successful > 0 },
      { name: "open", label: "Open ComfyUI", when: ended && progress.successful > 0 },
      { name: "rollback", label: "Roll back", when: ended && changed(progress) },
      { name: "lock", label: "Download lock", when: progress.state === "completed" },
      { name: "curl", label: "Copy as curl", when: true },
      { name: "notify", label: "Tell me when it is done", when: !ended && canAsk() },
    ];
    return all.filter((action) => action.when);
  }

  async #run(name, button) {
    this.busy.add(name);
    button.disabled = true;
    try {
      await this[name]();
    } catch (error) {
      showTrouble(error);
    } finally {
      this.busy.delete(name);
      button.disabled = false;
    }
  }

  async stop() {
    const text = "What is being cloned or installed is ended on the instance too. Node packs that are done stay.";
    if (!(await ask("Stop this install?", text, "Stop it", { danger: true }))) return;
    await api(`/tasks/${this.taskId}/cancel`, { body: {} });
    this.look();
  }

  async retry() {
    this.#goTo(await api(`/tasks/${this.taskId}/retry`, { body: {} }));
  }

  async rollback() {
    const text = "Python packages and node packs are brought back to what they were before this run. Your own files stay.";
    if (await ask("Roll back this run?", text, "Roll back", { danger: true })) this.#goTo(await api(`/tasks/${this.taskId}/rollback`, { body: {} }));
  }

  async restart() {
    const text = "Whatever ComfyUI is doing right now is ended; then it loads the new node packs.";
    if (await ask("Restart ComfyUI?", text, "Restart")) this.#goTo(await api(`/tasks/${this.taskId}/restart`, { body: {} }));
  }

  async open() {
    const danger = "Through this proxy it has Nodeferry’s own address: what its page runs can do here whatever you can. Open it only if you trust the instance.";
    if (isShared && !(await ask("Open ComfyUI here?", danger, "Open it", { danger: true }))) return;
    const tab = window.open("about:blank", "_blank"); // now, while the click counts: later it would be a pop-up
    const tunnel = await this.#tunnel();
    const address = tunnel.state === "open" ? reach(tunnel.url) : null;
    if (address && tab) {
      tab.opener = null;
      tab.location.replace(address);
      return;
    }
    tab?.close();
    if (tunnel.state === "open" && !address) return flash(`ComfyUI is at ${tunnel.url} on the machine that Nodeferry runs on. This browser is on another one: ssh -L leads there.`);
    flash(tunnel.state === "open" ? `ComfyUI is at ${tunnel.url}` : `${tunnel.error?.message ?? tunnel.reason} ${tunnel.error?.hint ?? ""}`);
  }

  /** Until the port is there, or is known not to be. */
  async #tunnel() {
    let tunnel = await api(`/tasks/${this.taskId}/open`, { body: {} });
    for (let tries = 0; tunnel.state === "opening" && tries < 60; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      tunnel = await api(`/tasks/${this.taskId}/open`);
    }
    return tunnel;
  }

  async lock() {
    const { lock } = await api(`/tasks/${this.taskId}/lock`);
    download(`nodeferry-${this.taskId.slice(0, 8)}.lock.json`, JSON.stringify(lock, null, 2));
  }

  async curl() {
    const { request } = await api(`/tasks/${this.taskId}`);
    const body = JSON.stringify(Object.fromEntries(Object.entries(request).filter(([, value]) => value !== null)));
    const quoted = `'${body.replaceAll("'", "'\\''")}'`;
    const line = `curl -s ${origin}/ssh/install-custom-nodes -H 'Content-Type: application/json' -d ${quoted}`;
    flash((await copy(line)) ? "The curl line is in the clipboard." : "The clipboard cannot be written here.");
  }

  async notify() {
    flash((await askToNotify()) ? "You will be told when it ends." : "The browser does not allow notifications here.");
  }

  #goTo({ task_id: taskId }) {
    location.assign(at(`/ui/task/${taskId}`));
  }
}
