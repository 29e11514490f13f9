"""What people are told of runs: that one has ended, or needs somebody.

Called by the threads of installs and workflows."""

from __future__ import annotations

import logging

from app.domain.errors import AppError
from app.domain.run_summary import Kind
from app.sync.installs.service import Installs
from app.sync.notifications import Message, Notifications
from app.sync.runs.runs import Runs

_log = logging.getLogger(__name__)


class RunNews:
    """Of one service. Any thread; nothing is raised, and nothing waited for."""

    def __init__(self, installs: Installs, runs: Runs, notifications: Notifications) -> None:
        self._installs = installs
        self._runs = runs
        self._notifications = notifications

    def of_task(self, task_id: str) -> None:
        """A task has ended, or asks something. One that will be retried by itself is no news yet."""
        if not self._notifications.is_on:
            return
        try:
            status = self._installs.status(task_id)
            if not (status.ended and status.retry_links.is_open):
                self._send_of(task_id)
        except AppError as exc:
            _log.warning("task %s: nobody was told: %s", task_id, exc.message)

    def of_workflow(self, workflow_id: str) -> None:
        """A workflow has ended, or asks something."""
        if not self._notifications.is_on:
            return
        try:
            self._send_of(workflow_id)
        except AppError as exc:
            _log.warning("workflow %s: nobody was told: %s", workflow_id, exc.message)

    def _send_of(self, any_id: str) -> None:
        row = self._runs.run(any_id)
        if row["fleet_id"] is not None and not row["in_progress"]:  # people are told once, when all have ended
            row = self._runs.run(row["fleet_id"])
        if not row["in_progress"] or row["summary"]["kind"] == Kind.QUESTION.value:
            self._notifications.send(Message(str(row["machine"]["name"]), f"{row['summary']['sentence']}."))
