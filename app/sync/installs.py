"""The use cases of installs: start, look, list, wait, cancel, go on after a restart.

Starting and looking open no connection. Whose turn it is, `Turns` knows; the run itself is `Installation`.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.domain.errors import (
    NothingToRollBack,
    RemoteError,
    TaskConflict,
    TaskNotCancellable,
    TaskNotFound,
    TooManyTasks,
)
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest
from app.protocol import wire
from app.protocol.snapshot import to_stored
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.remote.connector import SshConnector
from app.settings import Settings
from app.storage.install_store import InstallStore
from app.storage.progress_files import ProgressFiles
from app.sync import orders
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.chronicle import Chronicle, first_snapshot, snapshot_of
from app.sync.installation import Installation
from app.sync.lanes import Lane
from app.sync.progress_board import ProgressBoard, Shown
from app.sync.turns import Job, Turns

IDEMPOTENCY_SECONDS = 24 * 60 * 60
MAX_WAITING = 1000
CANCEL_SEEN_SECONDS = 1.0
"""How long a cancel waits for the install's thread to have heard it, so that the answer and the next poll agree."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A start's answer. `existing`: the idempotency key was used before, this is that task."""

    task_id: str
    state: TaskState
    existing: bool


class Installs:
    """The installs of one service. Every method may be called from any thread; StorageError when the database fails."""

    def __init__(
        self,
        *,
        store: InstallStore,
        files: ProgressFiles,
        connector: SshConnector,
        background: BackgroundTaskManager,
        settings: Settings,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: Unix seconds."""
        self._store = store
        self._files = files
        self._connector = connector
        self._settings = settings
        self._now = now
        self._board = ProgressBoard()
        self._turns = Turns(background, self._run, settings.max_running)

    def start(self, request: InstallRequest) -> Accepted:
        """Accepts an install; it is on disk when this returns. Opens no connection. Raises TooManyTasks."""
        self._board.drop_ended()
        if self._turns.unfinished >= self._settings.max_running + MAX_WAITING:
            raise TooManyTasks
        record, lane = self._new_record(request)
        kept = self._store.add(record, same_key_since=record.created_at - IDEMPOTENCY_SECONDS)
        if kept.task_id != record.task_id:
            return Accepted(kept.task_id, self._state_of(kept), existing=True)
        self._turns.take_up(Job(request, lane, self._chronicle(record)))
        return Accepted(record.task_id, TaskState.QUEUED, existing=False)

    def progress(self, task_id: str, since: int | None = None) -> dict[str, Any]:
        """The progress JSON; with `since` equal to the revision only that nothing is new. Raises TaskNotFound."""
        shown = self._shown(task_id)
        snapshot = shown.snapshot
        if since is not None and since == snapshot.revision:
            return {
                "success": True,
                "unchanged": True,
                "task_id": task_id,
                "revision": snapshot.revision,
                "state": snapshot.state.value,
                "in_progress": not shown.ended,
                "completed": shown.ended,
            }
        return wire.progress(snapshot, self._now(), heard_at=shown.heard_at, require=shown.require)

    def task(self, task_id: str) -> dict[str, Any]:
        """One task: what was asked for, what is planned, its progress. Raises TaskNotFound."""
        record = self._record(task_id)
        shown = self._shown(task_id)
        return {
            **_row(record),
            "state": shown.snapshot.state.value,
            "request": record.request,
            "plan": None if shown.snapshot.plan is None else [dict(change) for change in shown.snapshot.plan],
            "probe": dict(shown.snapshot.probe),
            "progress": self.progress(task_id),
        }

    def lock(self, task_id: str) -> dict[str, Any] | None:
        """What a task has installed, to install exactly that again; None until its run told it. Raises TaskNotFound."""
        lock = self._shown(task_id).snapshot.lock
        return None if lock is None else dict(lock)

    def list(
        self, *, state: str | None = None, instance: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of tasks, newest first, and the cursor of the next page if there is one. Raises InvalidRequest."""
        records = self._store.list(state=state, instance=instance, limit=limit + 1, before=cursor)
        page = records[:limit]
        more = self._store.cursor_of(page[-1]) if len(records) > limit and page else None
        return [_row(record) for record in page], more

    def wait(self, task_id: str, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the end of a task: whether it has ended. Raises TaskNotFound."""
        if self._shown(task_id).ended:
            return True
        return self._board.wait(task_id, lambda shown: shown.ended, timeout)

    def cancel(self, task_id: str) -> TaskState:
        """Stops a task, on the instance too; its state after that. Raises TaskNotFound, TaskNotCancellable."""
        if self._shown(task_id).ended:
            raise TaskNotCancellable
        if not self._turns.cancel(task_id):
            raise TaskNotCancellable
        _log.info("task %s: cancel was asked for", task_id)
        self._board.wait(task_id, _heeds_cancel, CANCEL_SEEN_SECONDS)
        return self._shown(task_id).snapshot.state

    def rollback(self, task_id: str) -> Accepted:
        """Starts a task that brings packages and packs back to what they were before an install. Raises TaskNotFound,
        TaskConflict while that install is not over or when it changed nothing, TooManyTasks."""
        record = self._record(task_id)
        if not self._shown(task_id).ended:
            raise TaskConflict("The install has not ended.", hint="Cancel it first, or wait for its end.")
        try:
            request = orders.request_of(record.request)
        except (KeyError, TypeError, ValueError) as exc:
            raise NothingToRollBack("The task's record cannot be read.") from exc
        nodes = self._shown(task_id).snapshot.nodes
        if request.rollback_of or request.options.plan_only or not nodes:
            raise NothingToRollBack
        return self.start(orders.rollback_of(task_id, request))

    def resume_unfinished(self) -> int:
        """Takes up the installs that an earlier service left unfinished, in their order; how many."""
        taken_up = 0
        for record in self._store.unfinished():
            try:
                request = orders.request_of(record.request)
                job = Job(request, self._lane(request)[1], self._chronicle(record))
            except (KeyError, TypeError, ValueError) as exc:
                self._give_up_unreadable(record, exc)
                continue
            self._turns.take_up(job)
            taken_up += 1
        return taken_up

    def close(self, timeout: float = 3.0) -> None:
        """Lets go of every install within `timeout` seconds; the runs go on, and `resume_unfinished` finds them."""
        self._turns.close(timeout)

    # -- records ----------------------------------------------------------------------------------------------------

    def _new_record(self, request: InstallRequest) -> tuple[InstallRecord, Lane]:
        instance, lane = self._lane(request)
        task_id, created_at = str(uuid.uuid4()), self._now()
        record = InstallRecord(
            task_id,
            created_at,
            request.to_json(),
            instance,
            ui_home=request.ui_home,
            idempotency_key=request.idempotency_key,
            snapshot=to_stored(first_snapshot(task_id, created_at, request.manifest)),
        )
        return record, lane

    def _lane(self, request: InstallRequest) -> tuple[str, Lane]:
        """The instance's name, and the lane of the install."""
        try:
            endpoint = self._connector.resolve(request.address)
        except RemoteError:  # a configuration that cannot be used: connecting will say so
            return str(request.address), Lane.of(str(request.address), request.ui_home)
        return str(endpoint), Lane.of(f"{endpoint.host}:{endpoint.port}", request.ui_home)

    def _chronicle(self, record: InstallRecord) -> Chronicle:
        return Chronicle(record, self._board, self._store, self._files, self._now)

    def _record(self, task_id: str) -> InstallRecord:
        record = self._store.get(task_id)
        if record is None:
            raise TaskNotFound(field="task_id")
        return record

    def _shown(self, task_id: str) -> Shown:
        """From memory; an install that ended long ago comes there from its record. Raises TaskNotFound."""
        shown = self._board.get(task_id)
        if shown is None:
            record = self._record(task_id)
            shown = Shown(snapshot_of(record), orders.require_of(record.request))
            if shown.ended:
                self._board.put(shown)
        return shown

    def _state_of(self, record: InstallRecord) -> TaskState:
        shown = self._board.get(record.task_id)
        return record.state if shown is None else shown.snapshot.state

    def _give_up_unreadable(self, record: InstallRecord, exc: Exception) -> None:
        _log.error("task %s: its record cannot be read: %r", record.task_id, exc)
        message = "The task's record was written by another version and cannot be gone on with."
        error = {"code": "record_unreadable", "message": message, "hint": "Start the install again."}
        self._store.update(record.task_id, state=TaskState.FAILED, error=error, finished_at=self._now(), snapshot=None)

    def _run(self, job: Job) -> None:
        """An install's thread."""
        order = orders.order_of(job.task_id, job.request, self._settings)
        timeouts = self._settings.timeouts
        Installation(
            order, job.chronicle, self._connector, timeouts, cancel=job.cancel, closing=self._turns.closing
        ).run()


def _heeds_cancel(shown: Shown) -> bool:
    return shown.ended or shown.snapshot.state is TaskState.CANCELLING


def _row(record: InstallRecord) -> dict[str, Any]:
    """One task as lists show it."""
    return {
        "task_id": record.task_id,
        "created_at": wire.iso(record.created_at),
        "started_at": None if record.started_at is None else wire.iso(record.started_at),
        "finished_at": None if record.finished_at is None else wire.iso(record.finished_at),
        "ssh_connection": record.request.get("ssh_connection"),
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
        "error": record.error,
    }
