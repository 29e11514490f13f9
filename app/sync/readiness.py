"""Whether the service accepts work now, and how much it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from app.storage.errors import StorageError
from app.storage.task_counts import TaskCounts
from app.sync.installs.service import Installs


class Readiness:
    """Looks at the parts that an install needs. Every method may be called from any thread."""

    def __init__(self, installs: Installs, task_counts: TaskCounts, now: Callable[[], float] = time.time) -> None:
        """`now`: Unix seconds."""
        self._installs = installs
        self._task_counts = task_counts
        self._now = now

    def missing(self) -> str | None:
        """Why an install that is started now would not run; None when it would."""
        if self._installs.closing.is_set():
            return "it is shutting down"
        if not self._installs.takes_over:
            return "it does not run installs (yet)"
        try:
            self._task_counts.check()
        except StorageError as exc:
            return f"its database does not work ({exc.code})"
        return None

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """For the metrics. Without the database what it holds is left out."""
        running, waiting = self._installs.numbers
        found: dict[str, Mapping[str, float]] = {
            "nodeferry_installs_running": {"": running},
            "nodeferry_installs_waiting": {"": waiting},
        }
        try:
            found["nodeferry_tasks"] = {state.value: number for state, number in self._task_counts.by_state().items()}
            oldest = self._task_counts.oldest_waiting()
            age = 0.0 if oldest is None else max(0.0, self._now() - oldest)
            found["nodeferry_oldest_waiting_seconds"] = {"": age}
        except StorageError:
            return found
        return found
