"""How long installs still take, estimated once a second for all polls.

With many events a second that estimate would be most of what a poll costs, and it would say the same."""

from __future__ import annotations

from app.protocol.eta import remaining_seconds
from app.protocol.snapshot import Snapshot

MAX_TASKS = 1000


class Estimates:
    """Of one service. Any thread: an estimate that two make at once is the same."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[object, float | None]] = {}

    def of(self, snapshot: Snapshot, now: float) -> float | None:
        """As `remaining_seconds`; events of the same second and phase are waited for."""
        part = int(now), snapshot.state, snapshot.waiting, len(snapshot.nodes), snapshot.phases
        known = self._tasks.get(snapshot.task_id)
        if known is not None and known[0] == part:
            return known[1]
        left = remaining_seconds(snapshot, now)
        if len(self._tasks) >= MAX_TASKS:
            self._tasks.clear()
        self._tasks[snapshot.task_id] = part, left
        return left
