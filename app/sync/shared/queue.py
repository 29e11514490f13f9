"""The engine of processes that share a PostgreSQL: whoever is asked writes, and any worker does it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from app.domain.fleet_places import Group
from app.protocol.events import Queued
from app.storage.errors import StorageError
from app.storage.shared_queue import Place, SharedQueueStore
from app.sync.installs.engine import Job, Records
from app.sync.installs.exclusive_queue import ExclusiveKey, Waiting

_POSITIONS_SECONDS = 0.3
"""For how long the order of what waits is not asked again, however many ask where they stand."""


class Signals(Protocol):
    """How what a person asks of an install gets to the worker that has it. Each as in `Engine`."""

    def begin(self, records: Records) -> None:
        """From now on, what is asked of installs that no worker has can be done here, and of those here is heard."""

    def cancel_all(self, task_ids: Collection[str]) -> Collection[str]:
        """Cancels installs, wherever they are."""

    def wake(self, task_id: str) -> bool:
        """Ends an install's wait for its next try."""

    def skip(self, task_id: str, package: str) -> bool:
        """Asks an install to skip a build."""

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """Answers a question of an install."""

    def close(self, timeout: float) -> None:
        """Hears nothing more."""


class Works(Protocol):
    """What runs installs in this process."""

    def begin(self, records: Records) -> None:
        """Takes jobs out of the queue from now on."""

    @property
    def is_working(self) -> bool:
        """Whether it takes jobs."""

    @property
    def running(self) -> int:
        """How many installs run here."""

    def job(self, task_id: str) -> Job | None:
        """An install that runs here."""

    def close(self, timeout: float) -> None:
        """As of `Engine`."""


class Watches(Protocol):
    """What sees whose worker is gone."""

    def begin(self, records: Records) -> None:
        """Looks from now on."""

    def close(self, timeout: float) -> None:
        """Looks no more."""


class SharedQueue:
    """An `Engine`. A process without `works` only asks others."""

    def __init__(
        self,
        store: SharedQueueStore,
        signals: Signals,
        closing: threading.Event,
        forget: Callable[[str], None],
        works: Works | None = None,
        *,
        watch: Watches | None = None,
    ) -> None:
        """`forget`: drops what this process shows of an install: its record is asked instead. `watch`: gives others
        what workers that are gone have left."""
        self._forget = forget
        self.closing = closing
        self._store = store
        self._signals = signals
        self._works = works
        self._watch = watch
        self._lock = threading.Lock()
        self._positions: dict[str, Place] = {}
        self._positions_until = 0.0

    @property
    def unfinished(self) -> int:
        """How many installs run or wait, in all processes."""
        return sum(self._store.numbers())

    @property
    def numbers(self) -> tuple[int, int]:
        """How many installs run here, and how many wait for any worker."""
        running = 0 if self._works is None else self._works.running
        try:
            return running, self._store.numbers()[1]
        except StorageError:
            return running, 0

    @property
    def is_ready(self) -> bool:
        """A process that only answers is; others once they take jobs."""
        return self._works is None or self._works.is_working

    def begin(self, records: Records) -> int:
        """Takes jobs from now on, where this process does; none is resumed before its job comes."""
        self._signals.begin(records)
        if self._works is not None:
            self._works.begin(records)
        if self._watch is not None:
            self._watch.begin(records)
        return 0

    def place_of(self, task_id: str) -> Waiting | None:
        """Where an install waits, and behind which; None when it does not, or the database does not say."""
        with self._lock:
            if time.monotonic() >= self._positions_until:
                try:
                    self._positions = self._store.positions()
                except StorageError:
                    self._positions = {}
                self._positions_until = time.monotonic() + _POSITIONS_SECONDS
            place = self._positions.get(task_id)
        return None if place is None else Waiting(task_id, place.behind, place.position, place.limit, place.group)

    def _read_positions_again(self) -> None:
        """Whoever has changed the queue here sees that it has changed."""
        with self._lock:
            self._positions_until = 0.0

    def knows(self, task_id: str) -> bool:
        """Whether the install runs here."""
        return self._works is not None and self._works.job(task_id) is not None

    def foresee(self, added: Sequence[tuple[str, ExclusiveKey, Group | None]]) -> Mapping[str, Queued]:  # noqa: ARG002
        """Nothing: whoever looks at one that waits is told its place."""
        return {}

    def submit(self, *jobs: Job) -> None:
        """The transaction that wrote their records has queued them, and whoever takes one shows how it does."""
        with self._lock:
            self._positions_until = 0.0
        for job in jobs:
            if not self.knows(job.task_id):
                self._forget(job.task_id)
        self._read_positions_again()

    def cancel(self, task_id: str) -> bool:
        """Cancels an install, wherever it is."""
        return task_id in self.cancel_all([task_id])

    def cancel_all(self, task_ids: Collection[str]) -> Collection[str]:
        """Cancels installs, wherever they are."""
        cancelled = self._signals.cancel_all(task_ids)
        with suppress(StorageError):  # whoever looks after the queue does it
            self._store.admit()
        self._read_positions_again()
        return cancelled

    def wake(self, task_id: str) -> bool:
        """Ends an install's wait for its next try, wherever it is."""
        return self._signals.wake(task_id)

    def skip(self, task_id: str, package: str) -> bool:
        """Asks an install to skip a build, wherever it is."""
        return self._signals.skip(task_id, package)

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """Answers a question of an install, wherever it is; the answer that holds."""
        return self._signals.answer(task_id, question, word)

    def close(self, timeout: float) -> None:
        """Takes no more jobs, and lets go of those that run here."""
        deadline = time.monotonic() + timeout
        self.closing.set()
        if self._works is not None:
            self._works.close(timeout)
        if self._watch is not None:
            self._watch.close(max(0.5, deadline - time.monotonic()))
        self._signals.close(max(0.5, deadline - time.monotonic()))
