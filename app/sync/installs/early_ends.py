"""Ends installs that were cancelled before they began: many at once, without a thread or a transaction for each."""

from __future__ import annotations

from collections.abc import Sequence

from app.protocol.events import GivenUp
from app.protocol.states import TaskState
from app.storage.install_store import InstallStore
from app.sync.installs.engine import Job
from app.sync.metrics import Metrics

_AT_ONCE = 250
"""How many are written in one transaction: whoever else has something to write waits no longer than that takes."""


class EarlyEnds:
    """Of one service. Any thread, which must be the only one that has these jobs."""

    def __init__(self, store: InstallStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def cancelled(self, jobs: Sequence[Job]) -> None:
        """Ends them as cancelled, but those that another service has taken over. Raises StorageError: those whose end
        is not on disk then have not ended."""
        for first in range(0, len(jobs), _AT_ONCE):
            part = [job for job in jobs[first : first + _AT_ONCE] if not job.recorder.ended]
            ends = [job.recorder.ending(GivenUp(TaskState.CANCELLED, None)) for job in part]
            lost = self._store.update_all([(end.task_id, end.token, end.values) for end in ends])
            for job, end in zip(part, ends, strict=True):
                if job.task_id in lost:
                    job.recorder.lose()
                else:
                    job.recorder.end_with(end)
                    self._metrics.finished(job.recorder.snapshot)
