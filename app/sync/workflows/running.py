"""A workflow's thread, and those who share the workflows."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from app.sync.installs.cancel_signal import CancelSignal


class SharedWork(Protocol):
    """Processes that share a queue, of which one at a time drives a workflow."""

    def put(self, workflow_id: str) -> None:
        """One of them works on it soon, after whoever does now. Raises StorageError."""

    def named(self, workflow_id: str) -> None:
        """Whoever drives it looks at it. Raises StorageError."""


@dataclass(frozen=True, slots=True)
class RunningWorkflow:
    """A workflow's thread, by its name. `stop` wakes and ends it; with `leaving` the workflow goes on without it.
    `driver`: its number among those that drive the workflow; None where one process drives all."""

    thread: str
    stop: CancelSignal = field(default_factory=CancelSignal)
    leaving: threading.Event = field(default_factory=threading.Event)
    driver: int | None = None
