"""Few of many threads work at once; the others wait where that costs nothing.

Python runs one thread at a time. Hundreds that all want to run keep the processors busy with waking and putting them
back: where more was to be done than a processor can, three quarters of its time went there. So whoever has got
something to do waits for one of a few locks first.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2
_PATIENCE_SECONDS = 0.25


class Turn:
    """One of the locks, which the threads of many connections share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def enter(self) -> threading.Lock:
        """Waits until it is this thread's turn; what is returned is to be released when it waits for something else.

        One that keeps its turn for too long, since it waits for something itself, is left alone with its lock."""
        lock = self._lock
        if not lock.acquire(timeout=_PATIENCE_SECONDS):
            lock = threading.Lock()
            lock.acquire()
            self._lock = lock
        return lock

    @contextmanager
    def held(self) -> Iterator[None]:
        """This thread's turn, for the block."""
        lock = self.enter()
        try:
            yield
        finally:
            lock.release()


class FewAtOnce:
    """The locks of a process."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._cycle = itertools.cycle([Turn() for _ in range(at_once)])

    def next(self) -> Turn:
        """The turn that one more thread shares with others."""
        return next(self._cycle)


READING = FewAtOnce()
"""Of the threads that read connections."""
FOLDING = FewAtOnce(2 * AT_ONCE)
"""Of the threads that make of it what polls see. They wait for the disk now and then."""
