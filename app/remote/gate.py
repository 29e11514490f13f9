"""How many SSH greetings go on at once: each costs some 15 ms of a processor, and a hundred at once make all of them,
and everything else, late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.remote.deadline import Deadline

PLACES = 32
HELD_SECONDS = 5.0
"""How long one keeps its place from others. An instance that is silent in the middle is waited for without one."""
_LOOK_SECONDS = 0.5


class Gate:
    """Lets so many through at once, in the order in which they came. Any thread."""

    def __init__(self, limit: int = PLACES, held_seconds: float = HELD_SECONDS) -> None:
        self._limit = limit
        self._held_seconds = held_seconds
        self._lock = threading.Lock()
        self._queue: dict[object, threading.Condition] = {}
        self._inside: dict[object, float] = {}
        """Until when each counts, in seconds of the monotonic clock."""

    @contextmanager
    def passing(self, deadline: Deadline, doing: str) -> Iterator[None]:
        """A place for the block. The wait for it is not the instance's. Raises ConnectFailed when cancelled."""
        me, mine = object(), threading.Condition(self._lock)
        began = time.monotonic()
        with self._lock:
            self._queue[me] = mine
            try:
                while not self._is_free(me):
                    mine.wait(_LOOK_SECONDS)
                    deadline.extend(time.monotonic() - began)
                    began = time.monotonic()
                    deadline.check(doing)
                self._inside[me] = time.monotonic() + self._held_seconds
            finally:
                del self._queue[me]
                self._call()
        try:
            yield
        finally:
            with self._lock:
                self._inside.pop(me, None)
                self._call()

    def _is_free(self, me: object) -> bool:
        now = time.monotonic()
        held = sum(until > now for until in self._inside.values())
        return held < self._limit and next(iter(self._queue)) is me

    def _call(self) -> None:
        first = next(iter(self._queue.values()), None)
        if first is not None:
            first.notify()
