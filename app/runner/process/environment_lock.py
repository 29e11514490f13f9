"""Who may change ComfyUI's environment: one installation of packages or one pack's own code at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Callable, Iterator

_LOOK_SECONDS = 0.2


class EnvironmentLock:
    """One run's, for its threads. Packages come first: more packs wait for them than for a script."""

    def __init__(self, check_cancelled: Callable[[], None]) -> None:
        """`check_cancelled` raises RunCancelled once the run was asked to stop."""
        self._check_cancelled = check_cancelled
        self._changed = threading.Condition()
        self._held = False
        self._packages_waiting = self._scripts = 0
        self._packages_expected = False

    @contextmanager
    def for_packages(self) -> Iterator[None]:
        """For one change of packages that is made whole or not at all. Raises RunCancelled while it waits; what holds
        it has limits of its own, which are the deadline."""
        with self._changed:
            self._packages_waiting += 1
            try:
                self._acquire(lambda: not self._held)
            finally:
                self._packages_waiting -= 1
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def for_script(self) -> Iterator[None]:
        """For one pack's own code, and the looks at the environment before and after it. Raises RunCancelled, as
        above."""
        with self._changed:
            self._scripts += 1
        try:
            with self._changed:
                self._acquire(lambda: not (self._held or self._packages_waiting or self._packages_expected))
            try:
                yield
            finally:
                self._release()
        finally:
            with self._changed:
                self._scripts -= 1

    def expect_packages(self, expected: bool) -> None:
        """Whether packages are to be installed soon: no script begins until that is over."""
        with self._changed:
            self._packages_expected = expected
            self._changed.notify_all()

    @property
    def is_contended(self) -> bool:
        """Whether a script runs, or waits to."""
        return self._scripts > 0

    def _acquire(self, is_free: Callable[[], bool]) -> None:
        while not is_free():
            self._changed.wait(_LOOK_SECONDS)
            self._check_cancelled()
        self._held = True

    def _release(self) -> None:
        with self._changed:
            self._held = False
            self._changed.notify_all()
