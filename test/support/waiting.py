"""Waiting for what another thread or process does: the one polling helper of the tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_OFTEN, _SELDOM = 0.01, 0.1
"""Seconds between two times that it is asked."""


def wait_until(predicate: Callable[[], object], timeout: float = 30.0, what: str = "") -> None:
    """Return as soon as `predicate()` is true; asked at least once, and once more at the deadline.

    Raises AssertionError naming `what` when it is still false after `timeout` seconds. What takes long to answer is
    asked less often, and so is what is waited for for seconds: whoever is waited for needs the processor too.
    """
    pause = threading.Event()  # never set: where there is an event to wait on, wait on that one
    began = asked = time.monotonic()
    while not predicate():
        now = time.monotonic()
        if now >= began + timeout:
            raise AssertionError(f"not within {timeout:g} s: {what or getattr(predicate, '__name__', predicate)}")
        pause.wait(min(max(_OFTEN, 4 * (now - asked), (now - began) / 50), _SELDOM))
        asked = time.monotonic()
