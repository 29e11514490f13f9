"""Workflows of processes that share a PostgreSQL: jobs of the same queue, one at a time for each workflow."""

from __future__ import annotations

from sqlalchemy import Engine

from app.storage.shared_queue import SharedQueueStore
from app.storage.signals import SIGNALS, SignalStore

AT_ONCE = 200
"""How many a process drives at once. Each mostly waits for its install, which has a place of its own."""


class SharedWorkflows:
    """How a process gets at the others' workflows. Any thread; StorageError when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._queue = SharedQueueStore(engine)
        self._signals = SignalStore(engine)

    def put(self, workflow_id: str) -> None:
        """Some process works on it soon, after whoever does now."""
        self._queue.put_workflow(workflow_id)

    def named(self, workflow_id: str) -> None:
        """Whoever drives it looks at it."""
        self._signals.notify(SIGNALS, [workflow_id])

    def adopt(self) -> None:
        """Those that nobody is to work on, although they are not over."""
        self._queue.adopt_workflows()
