"""How much a hostile instance may send, and for how long: bounded, so that only the service's own limits are tried."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

LIFE_SECONDS = 150.0
"""Of a connection."""
BYTES = 96 * 1024 * 1024
"""That a connection sends at most."""
BYTES_PER_SECOND = 3 * 1024 * 1024
_SLICE_SECONDS = 0.05


class Pace:
    """One connection's. Every method may be called from any thread of it."""

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._began = time.monotonic()
        self._sent = 0
        self._over = threading.Event()

    def end(self) -> None:
        """The connection is over."""
        self._over.set()

    @property
    def over(self) -> bool:
        """Whether nothing more is to be sent."""
        late = time.monotonic() - self._began > LIFE_SECONDS
        return late or self._sent >= BYTES or self._over.is_set() or self._closing.is_set()

    def hold(self, seconds: float) -> bool:
        """Waits; whether there is something to be done afterwards."""
        end = time.monotonic() + seconds
        while not self.over and (left := end - time.monotonic()) > 0:
            self._over.wait(min(left, _SLICE_SECONDS))
        return not self.over

    def stay(self) -> None:
        """Says nothing more, until the end."""
        self.hold(LIFE_SECONDS)

    def spend(self, size: int) -> bool:
        """Notes that so many bytes were sent, and waits until more may be; whether they may."""
        self._sent += size
        return self.hold(size / BYTES_PER_SECOND)

    def repeat(self, send: Callable[[], int]) -> None:
        """Sends again and again: `send` answers how many bytes it was."""
        while self.spend(send()):
            continue

    def rounds(self, seconds: float) -> Iterator[int]:
        """A number each `seconds`, to the end."""
        number = 0
        while self.hold(seconds):
            yield number
            number += 1
