"""The event that tells an install to stop, for a thread that may be waiting where no event can wake it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CancelSignal(threading.Event):
    """An event; `set` also cuts what the install's thread waits in, if it has said so with `cutting`. Any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._abort: Callable[[], None] | None = None

    def set(self) -> None:
        """Sets the event, and cuts."""
        super().set()
        abort = self._abort
        if abort is not None:
            abort()

    @contextmanager
    def aborting(self, abort: Callable[[], None]) -> Iterator[None]:
        """For the block, `set` calls `cut`, which may be called from any thread and more than once. At once where the
        event is set already."""
        self._abort = abort
        try:
            if self.is_set():
                abort()
            yield
        finally:
            self._abort = None
