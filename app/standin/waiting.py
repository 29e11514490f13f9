"""Waiting for other processes: asked again and again, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], bool], timeout: float, *, step: float = 0.005) -> bool:
    """Whether `predicate` came true within `timeout` seconds; asked every `step` seconds, at least once."""
    pause = threading.Event()  # never set: the other side is a process, which can set nothing here
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() >= deadline:
            return False
        pause.wait(step)
    return True
