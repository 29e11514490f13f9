"""Keeps the leases of the installs that this service works on, and finds stalled ones that nobody works on."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.storage.errors import StorageError
from app.storage.lease import Lease, Leases
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.recorder import Recorder

_log = logging.getLogger(__name__)


class LeaseKeeper:
    """The leases of one service's running installs. Each install's thread uses `holding`.

    A thread of its own renews them, from `begin` until `closing` is set."""

    def __init__(
        self,
        leases: Leases,
        background: BackgroundTaskManager,
        closing: threading.Event,
        chores: Callable[[], None],
    ) -> None:
        """`chores`: called with each `upkeep`."""
        self._leases = leases
        self._background = background
        self.closing = closing
        self._chores = chores
        self._thread = f"leases-{uuid.uuid4()}"
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Lease, Recorder, threading.Event]] = {}
        self._left: list[Lease] = []
        """To be given back: since the service closes, or since the database refused."""

    def begin(self, on_stalled: Callable[[str], None]) -> None:
        """Starts renewing. `on_stalled`: called with the task_id of an install that nobody works on."""
        self._background.start_task(self._thread, self._watch, on_stalled)

    @property
    def takes_over(self) -> bool:
        """Whether the thread that finds stalled installs is running."""
        return self._background.is_task_running(self._thread)

    def end(self, timeout: float) -> None:
        """After `closing` was set: waits up to `timeout` seconds for the thread, and gives back what is left."""
        self._background.wait(self._thread, timeout)
        self._give_back()

    def upkeep(self) -> None:
        """A round of what is to be done now and then: the chores, and what could not be given back before."""
        self._give_back()
        self._chores()

    @contextmanager
    def holding(self, recorder: Recorder, wake: threading.Event) -> Iterator[bool]:
        """Holds the install's lease for the block, which is given whether it may work on it. `wake` is set when the
        lease is lost. A database that refuses stops no install where leases are timed: what nobody could claim, nobody
        else works on."""
        task_id = recorder.task_id
        try:
            # Where leases are timed, what waits writes why without one, and may not have done so yet.
            revision = None if self._leases.is_timed else recorder.snapshot.revision
            lease = self._leases.claim(task_id, recorder.token, revision)
        except StorageError as exc:
            _log.error("task %s: its lease could not be claimed: %s", task_id, exc)
            yield self._leases.is_timed  # else it goes back into the queue
            return
        if lease is None:
            recorder.lose()
            yield False
            return
        recorder.hold(lease.token)
        with self._lock:
            self._held[task_id] = (lease, recorder, wake)
        try:
            yield True
        finally:
            with self._lock:
                self._held.pop(task_id, None)
            if recorder.lost:
                recorder.lose()  # once more: what was being saved at that moment may have been shown since
            elif self.closing.is_set() and self._leases.is_timed:
                with self._lock:
                    self._left.append(lease)  # hundreds that each wait for a commit of its own end nothing soon
            else:
                self._give_back(lease)

    def _give_back(self, *leases: Lease) -> None:
        with self._lock:
            due, self._left = [*self._left, *leases], []
        try:
            self._leases.release(*due)
        except StorageError as exc:
            _log.error("leases that could not be given back yet: %d; %s", len(due), exc)
            with self._lock:
                self._left += due

    def _watch(self, on_stalled: Callable[[str], None]) -> None:
        while not self.closing.wait(self._leases.seconds / 3):
            try:
                self._renew()
                for task_id in self._leases.stalled():
                    on_stalled(task_id)
                self.upkeep()
            except StorageError as exc:  # the next round tries again; until then every lease's token stays valid
                _log.error("the leases of running installs could not be renewed: %s", exc)

    def _renew(self) -> None:
        with self._lock:
            held = list(self._held.values())
        lost = set(self._leases.renew([lease for lease, _, _ in held]))
        for lease, recorder, wake in held:
            if lease in lost:
                recorder.lose()
                wake.set()
