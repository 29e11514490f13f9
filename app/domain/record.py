"""The record of an install: what was asked for, how it stands, and where its journal was read to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.protocol import progress_json
from app.protocol.reasons import for_people
from app.protocol.states import TERMINAL_TASK_STATES, Outcome, TaskState


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
    seal: str | None = field(default=None, repr=False)
    """The secret of the run's seal (`app/protocol/seal.py`), until the task has ended. None for a run of an earlier
    version, or whose runner seals nothing."""
    run_id: str | None = field(default=None, compare=False)
    """The run that it is a part of: the first task's id or the workflow's; storage fills it in for a first task."""
    number: int = field(default=0, compare=False)
    """In which place it was accepted, from 1 on; storage gives it."""


def row_of(record: InstallRecord) -> dict[str, Any]:
    """One task as lists show it."""
    return {
        "task_id": record.task_id,
        "created_at": progress_json.iso(record.created_at),
        "started_at": None if record.started_at is None else progress_json.iso(record.started_at),
        "finished_at": None if record.finished_at is None else progress_json.iso(record.finished_at),
        "ssh_connection": _text(record, "ssh_connection"),
        "instance": record.instance,
        "ui_home": record.ui_home,
        "state": record.state.value,
        "in_progress": record.state not in TERMINAL_TASK_STATES,
        "outcome": record.outcome.value if record.outcome else None,
        "total_nodes": record.total,
        "successful": record.successful,
        "failed": record.failed,
        "skipped": record.skipped,
        "revision": record.revision,
        "error": for_people(record.error) if record.error else None,
        "retry_of": _text(record, "retry_of"),
        "retried_by": record.retried_by,
        "rollback_of": _text(record, "rollback_of"),
        "restart_of": _text(record, "restart_of"),
        "fleet_id": record.fleet_id,
    }


def _text(record: InstallRecord, name: str) -> str | None:
    """A text of the request; None too for what a damaged record has in its place."""
    value = record.request.get(name)
    return value if isinstance(value, str) else None
