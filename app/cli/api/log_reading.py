"""Reading a task's log over the API, to its end or for as long as it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

POLL_SECONDS = 1.0


def parts(read: Callable[[int], dict[str, Any]], *, follow: bool) -> Iterator[str]:
    """The text of a log, piece by piece; `read` asks for what stands at a byte offset. With `follow` to the end of the
    task, else what there is now."""
    offset, pause = 0, threading.Event()
    while True:
        part = read(offset)
        if part["text"]:
            yield str(part["text"])
        more = part["next_offset"] < part["size"] and part["next_offset"] > offset
        offset = int(part["next_offset"])
        if not more and (part["complete"] or not follow):
            return
        if not more:
            pause.wait(POLL_SECONDS)
