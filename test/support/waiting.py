"""Waiting for what another thread or process does: the one polling helper of the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], object], timeout: float = 30.0, what: str = "") -> None:
    """Return as soon as `predicate()` is true; asked every 10 ms, at least once, and once more at the deadline.

    Raises AssertionError naming `what` when it is still false after `timeout` seconds.
    """
    pause = threading.Event()  # never set: where there is an event to wait on, wait on that one
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or getattr(predicate, '__name__', predicate)}")
        pause.wait(0.01)
