"""Retries: asked for, and by the service itself where a task has `options.auto_retry`.

A task and its retry are linked in one transaction, so that a retry is never lost and never doubled. When an
automatic one is due follows from the ended task's record alone: a restarted service finds it again there.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.domain.errors import (
    InvalidRequest,
    NothingToRetry,
    ServiceClosing,
    TaskConflict,
    TaskNotFound,
    TooManyTasks,
)
from app.domain.record import InstallRecord
from app.domain.retry import next_attempt
from app.domain.stored_request import read_request
from app.storage.errors import StorageError
from app.storage.retry_store import RetryStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs import runner_request
from app.sync.installs.service import Accepted, Installs

AGAIN_SECONDS = 30.0
"""When an automatic retry that could not be accepted (queue full, database away) is tried again."""

_log = logging.getLogger(__name__)


class _Overtaken(Exception):
    """The task was retried meanwhile, or is not to be retried any more."""


class Retries:
    """The retries of one service. Every method may be called from any thread; StorageError when the database fails.

    Automatic ones are started by a thread of its own, which is there from the first one that is due.
    """

    def __init__(
        self,
        installs: Installs,
        store: RetryStore,
        background: BackgroundTaskManager,
        *,
        first_pause: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`first_pause`: seconds before the first automatic retry; `now`: Unix seconds."""
        self._installs = installs
        self._store = store
        self._background = background
        self._first_pause = first_pause
        self._now = now
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._closing = False
        self._thread = f"retries-{uuid.uuid4()}"

    def begin(self) -> None:
        """Looks at the ends that a service before this one has not come to, or another process on the database."""
        with self._changed:
            planned = set(self._due)
        for task_id in self._store.open():
            if task_id not in planned:
                self.look_at(task_id)

    def close(self, timeout: float) -> None:
        """Starts no more retries, within `timeout` seconds. What is due stays due in the records."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._background.wait(self._thread, timeout)

    def retry(
        self, task_id: str, only: Collection[str] = (), other_options: Mapping[str, Any] | None = None
    ) -> Accepted:
        """Starts a task with the packs that did not end well, or with `only` these of them. `other_options`: by their
        names, instead of those that the task had. Raises TaskNotFound, TaskConflict while the task or its last retry
        goes on, NothingToRetry, InvalidRequest, TooManyTasks."""
        record, status = self._installs.look(task_id)
        if not status.ended:
            raise TaskConflict("The task has not ended.", hint="Cancel it first, or wait for its end.")
        if record.retried_by is not None and not self._has_ended(record.retried_by):
            raise TaskConflict(f"The task is being retried as {record.retried_by}.", hint="Wait for its end.")

        def keep(records: Sequence[InstallRecord]) -> Sequence[InstallRecord]:
            kept = _of_fleet(records[0], record)
            if not self._store.add(kept, task_id, replacing=record.retried_by):
                raise TaskConflict("The task has just been retried.", hint="GET /tasks/ID says as which (retried_by).")
            return [kept]

        return self._accept(record, keep, only, automatic=False, other_options=other_options or {})

    def call_off(self, task_id: str) -> bool:
        """An ended task is not retried by itself any more; whether it would have been. Raises TaskNotFound."""
        _, status = self._installs.look(task_id)
        was_due = status.ended and next_attempt(status.retry_links, status.snapshot, self._first_pause) is not None
        self._settle(task_id)
        return was_due

    def look_at(self, task_id: str) -> None:
        """An ended task: plans its automatic retry, if it has one."""
        try:
            _, status = self._installs.look(task_id)
            if not status.retry_links.is_open:
                return
            due = next_attempt(status.retry_links, status.snapshot, self._first_pause)
            if due is None:
                self._settle(task_id)
            else:
                _log.info("task %s: to be retried in %.0f s", task_id, due - self._now())
                self._plan(task_id, due)
        except (StorageError, TaskNotFound, ValueError) as exc:  # its record stays open: the next service looks again
            _log.error("task %s: whether to retry it could not be found out: %s", task_id, exc)

    def _has_ended(self, task_id: str) -> bool:
        try:
            return self._installs.look(task_id)[1].ended
        except TaskNotFound:  # forgotten, hence long ended
            return True

    def _accept(
        self,
        record: InstallRecord,
        keep: Callable[[Sequence[InstallRecord]], Sequence[InstallRecord]],
        only: Collection[str],
        *,
        automatic: bool,
        other_options: Mapping[str, Any],
    ) -> Accepted:
        try:
            request = read_request(record.request)
        except (KeyError, TypeError, ValueError) as exc:
            raise NothingToRetry(
                "The task's record was written by another version of Nodeferry and cannot be read."
            ) from exc
        request = replace(request, options=replace(request.options, **other_options))
        ended = self._installs.status(record.task_id).snapshot
        schemes = self._installs.allowed_git_schemes
        repeated = runner_request.retry_of(record.task_id, request, ended, only, automatic=automatic, schemes=schemes)
        [accepted] = self._installs.accept([repeated], keep, record.run_id)
        self._installs.link_retry(record.task_id, accepted.task_id)
        _log.info("task %s: retried as %s", record.task_id, accepted.task_id)
        return accepted

    # -- by itself --------------------------------------------------------------------------------------------------

    def _plan(self, task_id: str, due: float) -> None:
        with self._changed:
            if self._closing:
                return
            self._due[task_id] = due
            self._changed.notify_all()
            if not self._background.is_task_running(self._thread):
                self._background.start_task(self._thread, self._watch)

    def _settle(self, task_id: str) -> None:
        with self._changed:
            self._due.pop(task_id, None)
        if self._store.close(task_id):
            self._installs.link_retry(task_id, None)

    def _watch(self) -> None:
        while (task_id := self._next_due()) is not None:
            self._start(task_id)

    def _next_due(self) -> str | None:
        """Waits for the next that is due; None when the service closes."""
        with self._changed:
            while not self._closing:
                task_id = min(self._due, key=self._due.__getitem__, default=None)
                pause = None if task_id is None else self._due[task_id] - self._now()
                if task_id is not None and pause is not None and pause <= 0:
                    del self._due[task_id]
                    return task_id
                self._changed.wait(pause)
            return None

    def _start(self, task_id: str) -> None:
        try:
            record, _ = self._installs.look(task_id)

            def keep(records: Sequence[InstallRecord]) -> Sequence[InstallRecord]:
                kept = _of_fleet(records[0], record)
                if not self._store.add_automatic(kept, task_id):
                    raise _Overtaken
                return [kept]

            self._accept(record, keep, (), automatic=True, other_options={})
        except (TooManyTasks, StorageError) as exc:
            _log.warning("task %s: its retry must wait: %s", task_id, exc)
            self._plan(task_id, self._now() + AGAIN_SECONDS)
        except (NothingToRetry, InvalidRequest, TaskNotFound) as exc:
            _log.error("task %s: cannot be retried: %s", task_id, exc)
        except (ServiceClosing, _Overtaken):  # the next service does it; or somebody has done it
            _log.info("task %s: not retried here", task_id)


def _of_fleet(record: InstallRecord, repeated: InstallRecord) -> InstallRecord:
    """A retry takes the place of what it repeats in its fleet."""
    return replace(record, fleet_id=repeated.fleet_id, fleet_position=repeated.fleet_position)
