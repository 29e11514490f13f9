"""Trying an instance again at once, for somebody who knows that it is back."""

from __future__ import annotations

from app.domain.errors import NotWaiting
from app.protocol.progress_json import TRIED_AGAIN
from app.protocol.states import TaskState
from app.sync.installs.service import Installs


def try_now(installs: Installs, task_id: str) -> TaskState:
    """Ends the wait for the next try; one that goes on already is left to it. The task's state. Raises TaskNotFound,
    NotWaiting."""
    snapshot = installs.status(task_id).snapshot
    is_due = snapshot.waiting is not None and snapshot.waiting.code in TRIED_AGAIN
    if not is_due or not installs.wake(task_id):
        raise NotWaiting
    return snapshot.state
