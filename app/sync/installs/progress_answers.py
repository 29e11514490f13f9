"""What a poll is answered: the whole progress, what of it has changed, or that nothing is new.

From a status in memory, without I/O. As a dictionary, and as the text of an answer, which costs far less.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from app.domain import retry
from app.domain.run_summary import summary_of
from app.protocol import progress_json
from app.protocol.states import TaskState
from app.protocol.terminal_text import json_text
from app.sync.installs.estimates import Estimates
from app.sync.installs.node_rows import NodeRows
from app.sync.installs.patches import Patches, Progress
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.progress_texts import Filled, ProgressTexts, whole_text

QueueOf = Callable[[str], dict[str, Any] | None]


class ProgressAnswers:
    """The answers of one service. Any thread. `queue_of`: a task's place among those that wait, as progress has it;
    `now`: Unix seconds."""

    def __init__(self, queue_of: QueueOf, retry_seconds: float, now: Callable[[], float]) -> None:
        self._queue_of = queue_of
        self._retry_seconds = retry_seconds
        self._now = now
        self._patches = Patches()
        self._texts = ProgressTexts()
        self._node_rows = NodeRows()
        self._estimates = Estimates()

    def answer(
        self, status: InstallStatus, since: int | None = None, *, patch: bool = False, line: str | None = None
    ) -> Progress:
        """The progress JSON; with `since` equal to the revision only that nothing is new, with `patch` what has changed
        since then, where that is known."""
        if _is_known(status, since):
            return self._unchanged(status, patch=patch)
        if patch:
            return self._patches.answer(self._whole(status), since, line, self._whole)
        self._patches.note(status)
        return self._whole(status)

    def text(
        self, status: InstallStatus, since: int | None = None, *, patch: bool = False, line: str | None = None
    ) -> Filled:
        """`answer` as JSON, its secrets masked."""
        if _is_known(status, since):
            return Filled(json_text(self._unchanged(status, patch=patch), separators=(",", ":")).encode())
        asked: Hashable = (since, line or self._patches.line) if patch else None
        known = self._texts.find(status, asked)
        if known is not None:
            if not patch:
                self._patches.note(status)
            return known.filled(self._moment(status), lambda: self._moving(status))
        payload = self.answer(status, since, patch=patch, line=line)
        if patch and since is not None and "patch" not in payload:  # there are as many of these as there are numbers
            return whole_text(payload)
        moving = self._moving(status) if "patch" in payload else self._moving_of(status, payload)
        return self._texts.make(status, asked, payload, moving)

    def _unchanged(self, status: InstallStatus, *, patch: bool) -> Progress:
        snapshot = status.snapshot
        return {
            "success": True,
            "unchanged": True,
            "task_id": snapshot.task_id,
            "revision": snapshot.revision,
            "state": snapshot.state.value,
            "in_progress": not status.ended,
            "completed": status.ended,
            "last_event_seconds_ago": progress_json.seconds_ago(status.heard_at, self._now()),
            **({"line": self._patches.line} if patch else {}),
        }

    def _whole(self, status: InstallStatus) -> Progress:
        rows, tables = self._node_rows.of(status.snapshot)
        fields = progress_json.progress(
            status.snapshot,
            self._now(),
            heard_at=status.heard_at,
            require=status.require,
            queue=self._queue(status),
            retry=self._retry(status),
            tables=tables,
            eta_of=self._estimates.of,
        )
        return {**fields, "summary": summary_of(status.snapshot, status.purpose, rows).to_json()}

    def _moving(self, status: InstallStatus) -> Progress:
        """What of `_whole` changes while the snapshot stays."""
        moving = progress_json.moving(status.snapshot, self._now(), heard_at=status.heard_at, eta_of=self._estimates.of)
        return {**moving, "queue": self._queue(status), "retry": self._retry(status)}

    def _moving_of(self, status: InstallStatus, payload: Progress) -> Progress:
        """The same, of a `payload` that has just been made."""
        return {name: payload[name] for name in (*progress_json.moving_names(status.snapshot), "queue", "retry")}

    def _moment(self, status: InstallStatus) -> Hashable:
        """What `_moving` has one value for: a tenth of a second, as its figures have one decimal."""
        if status.snapshot.state is TaskState.QUEUED:
            return None
        return int(self._now() * 10), status.heard_at, status.retry_links

    def _queue(self, status: InstallStatus) -> dict[str, Any] | None:
        snapshot = status.snapshot
        return self._queue_of(snapshot.task_id) if snapshot.state is TaskState.QUEUED else None

    def _retry(self, status: InstallStatus) -> dict[str, Any] | None:
        return retry.retry_json(status.retry_links, status.snapshot, self._retry_seconds)


def _is_known(status: InstallStatus, since: int | None) -> bool:
    """Whether somebody who has the revision `since` has all that there is. A place in the queue moves without one."""
    snapshot = status.snapshot
    return since is not None and since == snapshot.revision and snapshot.state is not TaskState.QUEUED
