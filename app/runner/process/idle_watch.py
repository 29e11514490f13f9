"""How long a child may be silent: a sign of life is what it prints and, where that counts, that it works."""

from __future__ import annotations

import time
from typing import Optional

from app.runner.process.processes import processor_seconds

_WORKS = 0.1
"""A share of a processor: a compiler takes more, a thread that waits and looks now and then takes less."""


class IdleWatch:
    """The clock of one child, `group` being its process group. `idle`, `total`: seconds that it may be silent, and may
    take in all. `busy`: seconds that it may be silent while it works; None: work is not looked at."""

    def __init__(self, group: int, idle: float, total: float, busy: Optional[float] = None) -> None:
        self._group, self._idle, self._total, self._busy = group, idle, total, busy
        self._started = self._printed = self._alive = time.monotonic()
        self._mark: Optional[float] = None
        """What it had taken of the processors halfway to its limit."""

    def heard(self, now: float) -> None:
        """It printed something."""
        self._printed = self._alive = now
        self._mark = None

    def over(self, now: float) -> Optional[str]:
        """`idle` or `total` once that limit has passed."""
        if now - self._started > self._total:
            return "total"
        quiet = now - self._alive
        if quiet > self._idle:
            return None if self._works(now) else "idle"
        if self._busy is not None and self._mark is None and quiet > self._idle / 2:
            self._mark = processor_seconds(self._group)
        return None

    def _works(self, now: float) -> bool:
        """Whether it worked in the second half of its limit; then it has another half."""
        if self._busy is None or self._mark is None or now - self._printed > self._busy:
            return False
        spent = processor_seconds(self._group)
        if spent - self._mark < _WORKS * self._idle / 2:
            return False
        self._alive, self._mark = now - self._idle / 2, spent
        return True
