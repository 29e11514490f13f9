/** Where the service is below this origin: a reverse proxy may show it below a path of its own. */

/** That path without a slash at its end; empty for none. */
export const base = document.documentElement.dataset.base ?? "";

/** An address of the service's own, as a link or request has it. */
export const at = (path) => `${base}${path}`;

/** The service as a command line asks it. */
export const origin = `${location.origin}${base}`;

const PROXY = /^(.*)\/(?:abs)?proxy\/\d+$/;
const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(location.hostname);

/** Whether other ports of the service's machine have this page's origin here, so that their pages can do what it can. */
export const isShared = !isHere && PROXY.test(base);

/** A port on the service's machine, as this browser reaches it: null where it cannot. code-server and Jupyter show each
 *  port of their machine below /proxy/PORT/. */
export function reach(url) {
  if (isHere) return url;
  const found = PROXY.exec(base);
  const { port, pathname } = new URL(url);
  return found ? `${location.origin}${found[1]}/proxy/${port}${pathname}` : null;
}
