"""A time limit and a cancel event, which all waits of one connection attempt share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from app.domain.errors import ConnectFailed

_SLICE_SECONDS, _MOST_SLICE_SECONDS = 0.05, 0.5
"""How late a cancel is noticed while waiting for another event: later, the longer the wait has lasted. A thousand
threads that look twenty times a second leave no time for anything else."""

_T = TypeVar("_T")


class Deadline:
    """The time limit of one connection attempt. For the thread that makes it; any thread may set `cancel`."""

    def __init__(
        self, seconds: float, what: str, cancel: threading.Event | None = None, patience: float | None = None
    ) -> None:
        """`what`: the other side's name in messages, for example `root@host:22`; `patience`: how many of the seconds
        the other side may be silent at first."""
        self._seconds = seconds
        self._began = time.monotonic()
        self._extended = [0.0]
        """Seconds that did not count; also of the limits that were made of this one."""
        self._cancel = cancel or threading.Event()
        self._what = what
        self._patience = seconds if patience is None else min(seconds, patience)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._began + self._seconds + self._extended[0] - time.monotonic())

    @property
    def greeting(self) -> Deadline:
        """The limit until the other side has said who it is: of the same attempt, and never later than its own."""
        greeting = Deadline(min(self._patience, self.remaining) - self._extended[0], self._what, self._cancel)
        greeting._extended = self._extended
        return greeting

    def extend(self, seconds: float) -> None:
        """So many seconds were not the other side's."""
        self._extended[0] += seconds

    def check(self, doing: str) -> None:
        """Raises ConnectFailed when cancelled (code `cancelled`) or out of time."""
        if self._cancel.is_set():
            raise ConnectFailed("Connecting was stopped.", code="cancelled")
        if self.remaining <= 0:
            raise ConnectFailed(f"{self._what} did not answer within {self._seconds:.3g} s ({doing}).")

    def wait(self, event: threading.Event, doing: str) -> None:
        """Waits until `event` is set. Raises ConnectFailed as `check` does."""
        while not event.wait(self._slice):
            self.check(doing)

    def slice(self, doing: str) -> float:
        """Calls `check`, and returns for how many seconds to wait before the next check."""
        self.check(doing)
        return self._slice

    @property
    def _slice(self) -> float:
        waited = time.monotonic() - self._began
        return min(self.remaining, _MOST_SLICE_SECONDS, max(_SLICE_SECONDS, waited / 4))

    def pause(self, seconds: float, doing: str) -> None:
        """Waits for `seconds`. A cancel and the deadline end it early, and raise ConnectFailed as `check` does."""
        self._cancel.wait(min(seconds, self.remaining))
        self.check(doing)

    def call(self, function: Callable[[], _T], doing: str) -> _T:
        """Runs `function` in a thread of its own: for calls that have no time limit (name look-up, the SSH agent).

        Raises what `function` raises, or ConnectFailed as `check` does; then the daemon thread is left behind.
        """
        done = threading.Event()
        results: list[_T] = []
        errors: list[Exception] = []

        def work() -> None:
            try:
                results.append(function())
            except Exception as exc:  # noqa: BLE001 - carried over to the caller, which raises it
                errors.append(exc)
            finally:
                done.set()

        threading.Thread(target=work, name=f"deadline-{doing}", daemon=True).start()
        self.wait(done, doing)
        if errors:
            raise errors[0]
        return results[0]
