/** What can be done about the run: one button for this moment, the rest in a menu. The service says which there are; this
 *  does them. What goes wrong stays beside the button until it is done, or something else is. */

import { api } from "../core/api.js";
import { ask } from "../core/ask.js";
import { h, patchList, setHidden, setText } from "../core/dom.js";
import { copy, download } from "../core/files.js";
import { setOff } from "../core/focus.js";
import { icon } from "../core/icons.js";
import { attachMenu } from "../core/menu.js";
import { isShared, origin, reach } from "../core/place.js";
import { askToNotify, canAsk } from "../core/signals.js";
import { toast } from "../core/toast.js";
import { word } from "../core/words.js";
import { againAt } from "../lists/again.js";
import { share } from "./share.js";

const LABELS = {
  restart: word("run.do_restart"), open: word("run.do_open"), retry: word("run.do_retry"), rollback: word("run.do_put_back"),
  stop: word("run.do_stop"), install_again: word("run.do_install_again"), lock: word("run.do_lock"), repair: word("run.do_repair"),
  try_now: word("run.do_try_now"), now: word("run.do_now"), command: word("run.do_command"), log: word("run.do_log"), notify: word("run.do_notify"), share: word("status.share"),
};
const ICONS = {
  restart: "restart", open: "open", retry: "restart", rollback: "back", stop: "stopped", install_again: "play", lock: "lock",
  repair: "check", try_now: "restart", now: "right", command: "copy", log: "file", notify: "bell", share: "open",
};
const DANGER = ["stop", "rollback"];
const READS = ["share", "log", "lock", "now", "command", "notify", "install_again"];

export class Actions {
  /** `run()`: what GET /runs/ID said last; `began()`: something new has begun, which the page goes on to; `look()`
   *  asks for what is true now; `openLog()` opens the log of the whole run. */
  constructor(refs, { run, began, look, show, openLog }) {
    Object.assign(this, { refs, run, began, look, show, openLog, busy: new Set(), wanted: [] });
    attachMenu(refs.more);
  }

  /** `wanted`: [{name, primary}]. */
  update(wanted) {
    const known = wanted.filter(({ name }) => name in LABELS);
    const also = [...known, ...(this.run().chapters.some((chapter) => chapter.task_id) ? [{ name: "log" }, { name: "command" }, { name: "share" }] : []), ...(this.run()?.in_progress && canAsk() ? [{ name: "notify" }] : [])];
    const primary = also.find((each) => each.primary) ?? null;
    this.wanted = also;
    this.#patch(this.refs.primary, primary ? [primary] : [], (button) => button, "btn primary");
    this.#patch(this.refs.menu, also.filter((each) => each !== primary), (button) => h("li", {}, button), "");
  }

  /** What the service offers, without what the page adds by itself. */
  #offered() {
    return this.wanted.filter(({ name }) => !["log", "command", "share", "notify"].includes(name));
  }

  /** After a plan nothing is installed again: it is installed. */
  #label(name) {
    return name === "install_again" && this.run().summary.kind === "planned" ? word("run.do_install") : LABELS[name];
  }

  has(name) {
    return this.wanted.some((each) => each.name === name);
  }

  #patch(place, wanted, wrapped, style) {
    patchList(place, wanted, {
      key: ({ name }) => this.#label(name),
      make: ({ name }) => wrapped(h("button", { type: "button", class: DANGER.includes(name) && !style.includes("primary") ? `${style} danger` : style, "data-writes": !READS.includes(name), onclick: () => this.do(name) }, icon(ICONS[name]), this.#label(name))),
      update: (node, { name }) => {
        const button = node.querySelector("button") ?? node;
        setOff(button, this.busy.has(name));
      },
    });
  }

  async do(name) {
    if (this.busy.has(name)) return;
    this.busy.add(name);
    this.update(this.#offered());
    this.failed(null);
    try {
      await this[name](this.wanted.find((each) => each.name === name)?.task_id ?? this.run().current);
    } catch (error) {
      this.failed(error);
    } finally {
      this.busy.delete(name);
      this.update(this.#offered());
    }
  }

  /** Says beside the buttons what went wrong; null: nothing does any more. */
  failed(error) {
    setText(this.refs.failed, error ? [error.message, error.hint].filter(Boolean).join(" ") : "");
    setHidden(this.refs.failed, !error);
  }

  async stop() {
    if (!(await ask(word("run.ask_stop"), word("run.ask_stop_text"), word("run.ask_stop_yes"), { danger: true }))) return;
    const { workflow, current } = this.run();
    if (workflow?.in_progress) await api("/workflow/stop", { body: { workflow_id: workflow.workflow_id } });
    else await api(`/tasks/${current}/cancel`, { body: {} });
    this.look();
  }

  async retry(taskId, body = {}) {
    await api(`/tasks/${taskId}/retry`, { body });
    this.began();
  }

  async repair(taskId) {
    await api(`/tasks/${taskId}/repair`, { body: {} });
    this.began();
  }

  async rollback(taskId) {
    if (!(await ask(word("run.ask_put_back"), word("run.ask_put_back_text"), word("run.ask_put_back_yes"), { danger: true }))) return;
    await api(`/tasks/${taskId}/rollback`, { body: {} });
    this.began();
  }

  async restart(taskId) {
    if (!(await ask(word("run.ask_restart"), word("run.ask_restart_text"), word("run.ask_restart_yes")))) return;
    await api(`/tasks/${taskId}/restart`, { body: {} });
    this.began();
  }

  async try_now(taskId) {
    const { workflow } = this.run();
    if (taskId) await api(`/tasks/${taskId}/reconnect`, { body: {} });
    else await api("/workflow/reconnect", { body: { workflow_id: workflow.workflow_id } });
    this.look();
  }

  now() {
    this.show(null);
  }

  install_again() {
    location.assign(againAt(this.run()));
  }

  async open(taskId) {
    if (isShared && !(await ask(word("run.ask_open"), word("run.ask_open_text"), word("run.ask_open_yes"), { danger: true }))) return;
    const tab = window.open("about:blank", "_blank"); // now, while the click counts: later it would be a pop-up
    const tunnel = await tunnelOf(taskId).catch((error) => {
      tab?.close();
      throw error;
    });
    const address = tunnel.state === "open" ? reach(tunnel.url) : null;
    if (address && tab) {
      tab.opener = null;
      tab.location.replace(address);
      return;
    }
    tab?.close();
    if (tunnel.state === "open") toast(word(address ? "run.open_at" : "run.open_elsewhere", { url: tunnel.url }));
    else this.failed(tunnel.error ?? { message: tunnel.reason ?? word("run.open_failed") });
  }

  async lock(taskId) {
    const { lock } = await api(`/tasks/${taskId}/lock`);
    download(`nodeferry-${taskId.slice(0, 8)}.lock.json`, JSON.stringify(lock, null, 2));
  }

  async command() {
    const first = this.run().chapters.find((chapter) => chapter.task_id)?.task_id;
    const { request } = await api(`/tasks/${first}`);
    const body = JSON.stringify(Object.fromEntries(Object.entries(request).filter(([, value]) => value !== null)));
    const quoted = `'${body.replaceAll("'", "'\\''")}'`;
    const line = `curl -s ${origin}/ssh/install-custom-nodes -H 'Content-Type: application/json' -d ${quoted}`;
    toast(word((await copy(line)) ? "run.command_copied" : "common.copy_by_hand"));
  }

  log() {
    this.openLog();
  }

  share() {
    return share(this.run().run_id);
  }

  async notify() {
    toast(word((await askToNotify()) ? "run.will_notify" : "run.no_notify"));
  }
}

/** The tunnel once its port is there, or is known not to be. */
async function tunnelOf(taskId) {
  let tunnel = await api(`/tasks/${taskId}/open`, { body: {} });
  for (let tries = 0; tunnel.state === "opening" && tries < 60; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    tunnel = await api(`/tasks/${taskId}/open`);
  }
  return tunnel;
}
