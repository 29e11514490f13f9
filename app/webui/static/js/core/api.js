/** The HTTP API as the pages use it. Every failure is an ApiError with the service's own words; `unreachable` means that
 *  no answer came at all. */

import { at } from "./place.js";
import { ready } from "./session.js";

export class ApiError extends Error {
  constructor({ code, message, hint = "", field = null, status = 0 }) {
    super(message);
    Object.assign(this, { code, hint, field, status });
  }

  get unreachable() {
    return this.status === 0;
  }
}

/** One request. `timeout` in milliseconds. `seen`: an object of the caller's, which keeps what was answered last; null when
 *  nothing changed since. Throws ApiError; rejects with AbortError when `signal` is aborted. */
export async function api(path, { method, body, signal, seen, timeout = 15000 } = {}) {
  await ready;
  const limit = AbortSignal.timeout(timeout);
  const options = {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...(seen?.etag ? { "If-None-Match": seen.etag } : {}) },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    cache: "no-store",
  };
  let response;
  try {
    response = await fetch(at(path), options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError({ code: "unreachable", message: "Nodeferry does not answer.", hint: "Is the service running?" });
  }
  if (seen && response.status === 304) return null;
  const found = await read(response);
  if (seen) seen.etag = response.headers.get("ETag");
  return found;
}

async function read(response) {
  let payload = null;
  try {
    payload = await response.json();
  } catch {
    payload = { error: "not_json", message: `The service answered ${response.status} without JSON.` };
  }
  if (response.ok) return payload;
  if (response.status === 401) dispatchEvent(new CustomEvent("nodeferry:token-wanted"));
  throw new ApiError({ ...payload, code: payload.error, status: response.status });
}

/** What the server put into the page, or null. */
export function carried() {
  return JSON.parse(document.getElementById("carried")?.textContent || "null");
}
