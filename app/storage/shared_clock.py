"""What time it is for all processes that share a PostgreSQL: what its clock says.

The clocks of several hosts differ, and any may be set while it runs. What one process has written (an end, a retry that
is due, when a runner was heard) another one compares with now; so all of them go by one clock. Between two looks at it
the time is counted by the machine's monotonic clock, which nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine, text

from app.storage.transactions import reading

LOOK_SECONDS = 30.0
_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())")


class SharedClock:
    """Of one process. Any thread."""

    def __init__(self, engine: Engine, counted: Callable[[], float] = time.monotonic) -> None:
        """`counted`: seconds of a clock that nobody sets. Raises StorageError."""
        self._engine = engine
        self._counted = counted
        self._look_at = 0.0
        self._ahead = 0.0
        """How much the database's clock is ahead of what is counted here."""
        self.look()

    def now(self) -> float:
        """Unix seconds. Asks nobody."""
        return self._counted() + self._ahead

    def look(self) -> None:
        """Looks at the database's clock, unless that was a moment ago. Raises StorageError."""
        before = self._counted()
        if before < self._look_at:
            return
        with reading(self._engine) as connection:
            asked = self._counted()
            at = float(connection.execute(_CLOCK).scalar_one())
        self._ahead = at - (asked + self._counted()) / 2
        self._look_at = before + LOOK_SECONDS
