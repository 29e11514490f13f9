"""How long to wait between tries, and when to give up. Plain values; the caller waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from app.domain.errors import AuthenticationFailed, RemoteError

_SHORTEST_TRY = 2.0


def is_worth_waiting(error: RemoteError) -> bool:
    """Whether a first try that failed so may be repeated while the instance comes up."""
    return error.retried or (isinstance(error, AuthenticationFailed) and not error.is_final)


class Backoff:
    """Pauses that double from `first` to `cap` seconds, with jitter, until `limit` seconds are over. For one thread."""

    def __init__(
        self,
        first: float,
        cap: float,
        limit: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`clock`: seconds that only grow; `jitter`: 0 to 1."""
        self._pause = first
        self._cap = cap
        self._limit = limit
        self._clock = clock
        self._jitter = jitter
        self._deadline = clock() + limit

    @property
    def patience(self) -> float | None:
        """How long a try may wait for the other side to answer; None where there is one try, which may last as ever."""
        return max(self._deadline - self._clock(), _SHORTEST_TRY) if self._limit else None

    def next_pause(self) -> float | None:
        """Seconds until the next try; None when the time for tries is over."""
        left = self._deadline - self._clock()
        if left <= 0:
            return None
        pause, self._pause = self._pause, min(self._cap, self._pause * 2)
        return min(left, pause * (0.5 + 0.5 * self._jitter()))
