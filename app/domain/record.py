"""The record of an install: what was asked for, how it stands, and where its journal was read to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.protocol.states import Outcome, TaskState


@dataclass(frozen=True, slots=True)
class InstallRecord:
    """An install as storage keeps it. Times are Unix seconds, `journal_offset` is in bytes."""

    task_id: str
    created_at: float
    request: dict[str, Any]
    """The request's JSON as accepted."""
    instance: str
    """`user@host:port`, or the alias as typed."""
    ui_home: str | None = None
    idempotency_key: str | None = None
    state: TaskState = TaskState.QUEUED
    outcome: Outcome | None = None
    started_at: float | None = None
    finished_at: float | None = None
    total: int = 0
    successful: int = 0
    failed: int = 0
    skipped: int = 0
    error: dict[str, Any] | None = None
    """`code`, `message`, `hint` of what ended the run; None where nothing did."""
    revision: int = 0
    journal_offset: int = 0
    """Where the next journal line begins: everything before it is folded into `snapshot`."""
    journal_seq: int = 0
    """The number of the last journal event that was folded."""
    snapshot: dict[str, Any] | None = None
    """The snapshot's stored form; None before the first event."""
    retried_by: str | None = None
    """The newest task that repeats what did not end well here."""
    auto_retry_open: bool = False
    """Whether the end of this task is yet to be looked at for an automatic retry."""
    fleet_id: str | None = None
    fleet_position: int | None = None
    """Which of its fleet's instances it is for, from 0 on."""
    lease_token: int = 0
    """Grows each time a service takes the install over. A writer with an older token has lost it."""
    number: int = field(default=0, compare=False)
    """In which place it was accepted, from 1 on; storage gives it."""
