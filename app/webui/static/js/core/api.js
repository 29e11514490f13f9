/** The HTTP API as the pages use it. Every failure is an ApiError with the service's own words; `unreachable` means that
 *  no answer came at all. A request waits while a token is missing, and goes on by itself. What is true of the service
 *  itself (away, back, updated) is told to the page by events. */

import { admitted, tokenWanted } from "./access.js";
import { at } from "./place.js";
import { word } from "./words.js";

const known = new Map(); // by path: the last answer and its ETag

export class ApiError extends Error {
  /** `unreachable`: neither Nodeferry nor a proxy in front of it has an answer of it. */
  constructor({ code, message, hint = "", field = null, status = 0, unreachable = status === 0, wrong_entries: wrongEntries = [] }) {
    super(message);
    Object.assign(this, { code, hint, field, status, unreachable, wrongEntries });
  }
}

/** One request. `file`: sent as it is, in place of a JSON body. `timeout` in milliseconds, of which waiting for a token is no part. `tagged`: for a GET that is asked again
 *  and again: what has not changed is not sent again, and is the same object. Throws ApiError; rejects with AbortError when
 *  `signal` is aborted. */
export async function api(path, { method, body, file, signal, timeout = 15000, tagged = false } = {}) {
  for (;;) {
    const since = await admitted(signal);
    const response = await once(path, { method, body, file, signal, timeout, tagged });
    if (response.status === 401) {
      tokenWanted({ since });
      continue;
    }
    return read(response, tagged ? path : null);
  }
}

async function once(path, { method, body, file, signal, timeout, tagged }) {
  const limit = AbortSignal.timeout(timeout);
  const hasBody = body !== undefined || file !== undefined;
  const headers = hasBody ? { "Content-Type": file ? "application/octet-stream" : "application/json" } : {};
  if (tagged && known.has(path)) headers["If-None-Match"] = known.get(path).tag;
  const options = {
    method: method ?? (hasBody ? "POST" : "GET"),
    headers,
    body: file ?? (body === undefined ? undefined : JSON.stringify(body)),
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    cache: "no-store",
  };
  try {
    return await fetch(at(path), options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw away();
  }
}

async function read(response, path) {
  if (response.status === 304 && known.has(path)) return back(response, known.get(path).payload);
  let payload = null;
  try {
    payload = await response.json();
  } catch {
    if (response.status >= 502 && response.status <= 504) throw away(response.status);
    payload = { error: "not_json", message: word("shell.no_json", { status: response.status }) };
  }
  back(response, payload);
  if (!response.ok) throw new ApiError({ ...payload, code: payload.error, status: response.status });
  const tag = path && response.headers.get("ETag");
  if (tag) known.set(path, { tag, payload });
  return payload;
}

function away(status = 0) {
  dispatchEvent(new CustomEvent("nodeferry:away"));
  return new ApiError({ code: "unreachable", message: word("shell.away"), hint: word("shell.away_hint"), status, unreachable: true });
}

function back(response, payload) {
  dispatchEvent(new CustomEvent("nodeferry:back", { detail: response.headers.get("Nodeferry-Pages") }));
  return payload;
}

/** What the server put into the page, or null. */
export function carried() {
  return JSON.parse(document.getElementById("carried")?.textContent || "null");
}
