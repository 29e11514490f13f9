"""How many slow requests there may be at once: one budget, so that whatever floods the service leaves threads to polls.

A request that waits for something (a change, an instance) holds a thread of the server meanwhile. Places are fewer than
threads, and no kind of request gets all of them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from app.domain.errors import AppError

THREADS = 80
"""Of the server."""
PLACES = THREADS // 2


class ServiceBusy(AppError):
    """The service does as much at once as it may."""

    code = "service_busy"


class Kind(StrEnum):
    """What slow requests wait for."""

    CHANGES = "changes"
    """Something new of a task: streams of events, `?wait=`."""
    INSTANCES = "instances"
    """An instance: tests, scans of host keys, tunnels that are being opened."""
    WHEELS = "wheels"
    """An instance that sends a wheel, which may last."""
    SEARCHES = "searches"
    """Nothing, but they read all logs of a task."""
    FILES = "files"
    """Nothing, but they read a file of up to half a gigabyte."""


MOST: Mapping[Kind, int] = {Kind.CHANGES: 32, Kind.INSTANCES: 32, Kind.WHEELS: 4, Kind.SEARCHES: 2, Kind.FILES: 2}


class Place:
    """Room for one slow request, given back once, however often `release` is called and from whichever thread."""

    def __init__(self, capacity: Capacity, kind: Kind) -> None:
        self._capacity: Capacity | None = capacity
        self._kind = kind

    def release(self) -> None:
        """Gives the place back."""
        capacity, self._capacity = self._capacity, None
        if capacity is not None:
            capacity.give_back(self._kind)


class Capacity:
    """The places of one service. Every method may be called from any thread, and none waits."""

    def __init__(self, most_in_all: int = PLACES, most: Mapping[Kind, int] = MOST) -> None:
        self._most_in_all = most_in_all
        self._most = most
        self._lock = threading.Lock()
        self._taken: Counter[Kind] = Counter()

    def acquire(self, kind: Kind) -> Place | None:
        """A place, if one is free."""
        with self._lock:
            if self._taken.total() >= self._most_in_all or self._taken[kind] >= self._most[kind]:
                return None
            self._taken[kind] += 1
        return Place(self, kind)

    @contextmanager
    def place(self, kind: Kind) -> Iterator[None]:
        """A place while the block runs. Raises ServiceBusy."""
        place = self.acquire(kind)
        if place is None:
            raise ServiceBusy
        try:
            yield
        finally:
            place.release()

    def give_back(self, kind: Kind) -> None:
        """For `Place`."""
        with self._lock:
            self._taken[kind] -= 1
