"""How soon a thread that computes gives way to the others, by how many installs there are.

Threads that want to run wake after that time each, only to find that another one runs. Few of them make answers
quick that way; hundreds of them leave a processor no time for anything else.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FEW = 64
"""So many installs change nothing."""
MOST_SECONDS = 0.03
BREATH_AFTER_SECONDS, BREATH_SECONDS = 0.003, 0.001
"""Of the processor, and of the clock."""


class GivingWay:
    """Of the process's installs. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._usual = sys.getswitchinterval()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """One install more, for the block."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            if self._count <= FEW:
                self._usual = sys.getswitchinterval()
            self._count += number
            sys.setswitchinterval(seconds_of(self._count, self._usual))


def seconds_of(installs: int, usual: float) -> float:
    """Of so many installs; `usual`: of few."""
    return max(usual, min(MOST_SECONDS, usual * (max(installs, FEW) / FEW) ** 2))


class Breath:
    """Of one thread that has much to compute: the others get their turn now and then meanwhile."""

    def __init__(self) -> None:
        self._counted = time.thread_time()
        self._never = threading.Event()

    def rest(self) -> None:
        """Called between two pieces of the work."""
        if time.thread_time() - self._counted > BREATH_AFTER_SECONDS:
            self._never.wait(BREATH_SECONDS)
            self._counted = time.thread_time()
