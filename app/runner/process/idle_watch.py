"""How long a child may be silent: a sign of life is what it prints and, where that counts, that it works."""

from __future__ import annotations

import time
from typing import Optional

from app.runner.process.processor_time import Measure, measure, seconds_between

_WORKS = 0.05
"""A share of a processor: a compiler takes more, also one of several on a small machine; a thread that waits and looks
now and then takes less."""


class IdleWatch:
    """The clock of one child, known by its pid and its mark. `idle`, `total`: seconds that it may be silent, and may
    take in all. `busy`: seconds that it may be silent while it works, whichever of its processes does; None: work is
    not looked at."""

    def __init__(self, child: int, mark: str, idle: float, total: float, busy: Optional[float] = None) -> None:
        self._child, self._mark = child, mark
        self._idle, self._total, self._busy = idle, total, busy
        self._started = self._printed = self._alive = time.monotonic()
        self._before: Optional[Measure] = None
        """What it had taken of the processors halfway to its limit."""

    def heard(self, now: float) -> None:
        """It printed something."""
        self._printed = self._alive = now
        self._before = None

    def over(self, now: float) -> Optional[str]:
        """`idle` or `total` once that limit has passed."""
        if now - self._started > self._total:
            return "total"
        quiet = now - self._alive
        if quiet > self._idle:
            return None if self._works(now) else "idle"
        if self._busy is not None and self._before is None and quiet > self._idle / 2:
            self._before = measure(self._child, self._mark)
        return None

    def _works(self, now: float) -> bool:
        """Whether it worked in the second half of its limit; then it has another half. It also has where nobody looked
        halfway: the machine stood still."""
        if self._busy is None or now - self._printed > self._busy:
            return False
        now_taken = measure(self._child, self._mark)
        if self._before is not None and seconds_between(self._before, now_taken) < _WORKS * self._idle / 2:
            return False
        self._alive, self._before = now - self._idle / 2, now_taken
        return True
