/** Server-sent events read with fetch: EventSource tells no status of a refusal. */

import { ApiError } from "./api.js";
import { at } from "./place.js";

/** Calls `event(data)` for each event until the stream ends. Throws ApiError when there is no place for it, and what fetch
 *  throws when it is cut. `lastId`: the event that was seen last. */
export async function stream(path, { lastId, signal, event }) {
  const headers = lastId === undefined ? {} : { "Last-Event-ID": String(lastId) };
  const response = await fetch(at(path), { headers, signal, cache: "no-store" });
  if (!response.ok) throw new ApiError({ code: "no_stream", message: "There is no place for a stream.", status: response.status });
  if (response.status === 204) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "));
      if (data) event(JSON.parse(data.slice(6)));
    }
  }
}
