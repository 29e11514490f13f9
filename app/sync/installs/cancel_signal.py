"""The event that cancels an install, for a thread that may be waiting where no event can wake it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CancelSignal(threading.Event):
    """An event whose `set` also aborts what the install's thread waits in, inside a block of `aborting`. Any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._woken = threading.Event()
        self._aborts: list[Callable[[], None]] = []

    def set(self) -> None:
        """Sets the event, and aborts the wait."""
        super().set()
        self._woken.set()
        for abort in tuple(self._aborts):
            abort()

    def wake(self) -> None:
        """Ends the `pause` that goes on; without one it changes nothing."""
        self._woken.set()

    def pause(self, seconds: float, unless: threading.Event) -> None:
        """Waits until `set` or `wake` is called, `seconds` at most; not at all where `unless` is set."""
        self._woken.clear()
        if not unless.is_set():
            self._woken.wait(seconds)

    @contextmanager
    def aborting(self, abort: Callable[[], None]) -> Iterator[None]:
        """For the block, `set` calls `abort`, from any thread and perhaps more than once. If the event is set already,
        `abort` is called at once. Blocks may nest."""
        self._aborts.append(abort)
        try:
            if self.is_set():
                abort()
            yield
        finally:
            self._aborts.remove(abort)
