"""Keeps the progress files up to date, for people who `cat` them: each is replaced at most once a second.

One thread writes all of them, so that no install waits for JSON that the API does not need. Where many installs run,
each file is replaced less often: together they may take a twentieth of a processor.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
import uuid
from collections.abc import Callable

from app.protocol import progress_json
from app.storage.errors import StorageError
from app.storage.progress_files import ProgressFiles
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.progress_cache import InstallStatus

EVERY_SECONDS = 1.0
_REST = 19.0
"""So many times as long as a file has taken the processor nothing is written, but ends."""
REFUSED_SECONDS = 5.0
"""How long the disk is left alone after it has refused a file."""
LEFT_SECONDS = 1.0
"""How long a service that closes writes files of what goes on: the next one writes all of them anew."""
END_SECONDS = 2.0
"""How long an install's end waits for its file, so that whoever has polled the end finds it there too."""

_log = logging.getLogger(__name__)


class ProgressWriter:
    """Writes the progress files of one service. Every method may be called from any thread."""

    def __init__(
        self, files: ProgressFiles, background: BackgroundTaskManager, now: Callable[[], float] = time.time
    ) -> None:
        """`now`: Unix seconds. The thread is there from the first `put` to `close`."""
        self._files = files
        self._background = background
        self._now = now
        self._changed = threading.Condition()
        self._unwritten: dict[str, InstallStatus] = {}
        self._unwritten_ends: dict[str, InstallStatus] = {}
        self._order: list[tuple[float, str]] = []
        """A heap of when each that is `_unwritten` is due; some may be there twice."""
        self._ends: dict[str, threading.Event] = {}
        """Of those among them that have ended: set when the file is there."""
        self._due: dict[str, float] = {}
        """When each file may be replaced again, in seconds of the monotonic clock."""
        self._rests_until = self._wakes_at = 0.0
        self._closing = False
        self._left_until = 0.0
        self._thread = f"progress-files-{uuid.uuid4()}"

    def put(self, status: InstallStatus, *, is_awaited: bool = True) -> None:
        """The file is to show this status. Returns at once, but at an install's end when the file is there, if that
        `is_awaited`."""
        task_id = status.snapshot.task_id
        with self._changed:
            runs = self._has_thread()
            if status.ended:
                self._due.pop(task_id, None)
            self._add(status)
            awaited = is_awaited and status.ended
            written = self._ends.setdefault(task_id, threading.Event()) if awaited else None
            if self._moment_of(status) < self._wakes_at:
                self._changed.notify_all()
        if written is not None and runs:
            written.wait(END_SECONDS)

    def drop(self, task_id: str) -> None:
        """Another service works on this install now: its file is not written here any more."""
        with self._changed:
            self._forget(task_id)

    def close(self, timeout: float) -> None:
        """Writes what is left, ends before the others, within `timeout` seconds; nothing is written afterwards."""
        with self._changed:
            self._closing = True
            self._left_until = time.monotonic() + min(timeout, LEFT_SECONDS)
            self._changed.notify_all()
        self._background.wait(self._thread, timeout)

    def _has_thread(self) -> bool:
        if not self._closing and not self._background.is_task_running(self._thread):
            try:
                self._background.start_task(self._thread, self._run)
            except RuntimeError as exc:  # the system gives no more threads; the next status tries again
                _log.error("the progress files are not written: %s", exc)
        return self._background.is_task_running(self._thread)

    def _run(self) -> None:
        while (status := self._next()) is not None:
            task_id, worked = status.snapshot.task_id, time.thread_time()
            try:
                payload = progress_json.progress(
                    status.snapshot, self._now(), heard_at=status.heard_at, require=status.require
                )
                self._files.write(task_id, payload | {"summary": status.summary.to_json()})
            except StorageError as exc:
                _log.error("task %s: its progress file could not be written: %s", task_id, exc)
                with self._changed:
                    if not self._closing:  # later again, unless something newer has come
                        self._due[task_id] = time.monotonic() + REFUSED_SECONDS
                        self._add(self._unwritten.pop(task_id, status))
            else:
                self._written(status, time.thread_time() - worked)

    def _written(self, status: InstallStatus, seconds: float) -> None:
        """It took so many seconds of the processor."""
        with self._changed:
            if status.ended:
                self._forget(status.snapshot.task_id)
            else:
                self._rests_until = time.monotonic() + _REST * seconds

    def _next(self) -> InstallStatus | None:
        """Waits for the next status to write; None when the service closes and nothing is left."""
        with self._changed:
            while True:
                status = self._first()
                if self._closing and self._is_enough(status):
                    return None
                self._wakes_at = float("inf") if status is None else self._moment_of(status)
                pause = self._wakes_at - time.monotonic()
                if status is not None and (pause <= 0 or self._closing):
                    self._wakes_at = 0.0
                    self._due[status.snapshot.task_id] = time.monotonic() + EVERY_SECONDS
                    self._remove(status.snapshot.task_id)
                    return status
                self._changed.wait(None if status is None else pause)

    def _is_enough(self, first: InstallStatus | None) -> bool:
        """Whether a service that closes need write nothing more; `first`: what would come next."""
        return first is None or (not first.ended and time.monotonic() >= self._left_until)

    def _add(self, status: InstallStatus) -> None:
        task_id = status.snapshot.task_id
        if status.ended:
            self._unwritten.pop(task_id, None)
            self._unwritten_ends[task_id] = status
        elif task_id not in self._unwritten_ends:
            if task_id not in self._unwritten:
                heapq.heappush(self._order, (self._due.get(task_id, 0.0), task_id))
            self._unwritten[task_id] = status

    def _first(self) -> InstallStatus | None:
        """Whose file is to be written next."""
        while self._order:
            due, task_id = self._order[0]
            if task_id in self._unwritten and due == self._due.get(task_id, 0.0):
                break
            heapq.heappop(self._order)
        first = [self._unwritten[task_id] for _, task_id in self._order[:1]]
        return min([*self._unwritten_ends.values(), *first], key=self._moment_of, default=None)

    def _moment_of(self, status: InstallStatus) -> float:
        """When its file is to be written. An end does not wait for the others."""
        due = self._due.get(status.snapshot.task_id, 0.0)
        return due if status.ended else max(self._rests_until, due)

    def _remove(self, task_id: str) -> None:
        self._unwritten.pop(task_id, None)
        self._unwritten_ends.pop(task_id, None)

    def _forget(self, task_id: str) -> None:
        self._remove(task_id)
        self._due.pop(task_id, None)
        written = self._ends.pop(task_id, None)
        if written is not None:
            written.set()
