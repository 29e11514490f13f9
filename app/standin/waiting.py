"""Waiting for other processes: asked again and again, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MOST_STEP_SECONDS = 0.1


def wait_until(predicate: Callable[[], bool], timeout: float, *, step: float = 0.005) -> bool:
    """Whether `predicate` came true within `timeout` seconds; asked every `step` seconds, less often where
    an answer takes long, and at least once."""
    pause = threading.Event()  # never set: the other side is a process, which can set nothing here
    deadline, asked = time.monotonic() + timeout, time.monotonic()
    while not predicate():
        now = time.monotonic()
        if now >= deadline:
            return False
        pause.wait(min(max(step, 4 * (now - asked)), _MOST_STEP_SECONDS))
        asked = time.monotonic()
    return True
