"""Reading a task's log over the API, to its end or for as long as it grows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

POLL_SECONDS = 1.0
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


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


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor, rename its window or answer in the user's name: a log is
    written by others. Line ends, tabs and the carriage returns of progress lines stay."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))
