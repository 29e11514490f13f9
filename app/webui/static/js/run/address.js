/** What is looked at, in the page's address: which chapter, view, node pack and line of its log, so that a reload, a link and the
 *  browser's Back come to the same. */

const NAMES = ["chapter", "tab", "pack", "line"];

export class Address {
  /** `moved(place)` is called when the browser goes back or forward. */
  constructor(moved) {
    addEventListener("popstate", () => moved(this.read()));
  }

  read() {
    const asked = new URLSearchParams(location.search);
    return Object.fromEntries(NAMES.map((name) => [name, asked.get(name)]));
  }

  /** Changes these parts. `push`: Back leads to what was looked at before. */
  write(changes, { push = false } = {}) {
    const asked = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === "") asked.delete(name);
      else asked.set(name, value);
    }
    const wanted = `${location.pathname}${asked.size ? `?${asked}` : ""}`;
    if (wanted === location.pathname + location.search) return;
    if (push) history.pushState(null, "", wanted);
    else history.replaceState(history.state, "", wanted);
  }

  /** The address of a chapter, for a link. */
  of(taskId) {
    return `${location.pathname}?chapter=${taskId}`;
  }
}
