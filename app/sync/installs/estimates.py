"""How long installs still take, estimated once for all polls of the same second."""

from __future__ import annotations

from app.protocol.eta import remaining_seconds, seconds_since
from app.protocol.snapshot import Snapshot

MAX_TASKS = 1000


class Estimates:
    """Of one service. Any thread: an estimate that two make at once is the same."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[Snapshot, int, float | None]] = {}

    def of(self, snapshot: Snapshot, now: float) -> float | None:
        """As `remaining_seconds`."""
        second = seconds_since(snapshot.last_at or now, now)
        known = self._tasks.get(snapshot.task_id)
        if known is not None and known[0] is snapshot and known[1] == second:
            return known[2]
        left = remaining_seconds(snapshot, now)
        if len(self._tasks) >= MAX_TASKS:
            self._tasks.clear()
        self._tasks[snapshot.task_id] = snapshot, second, left
        return left
