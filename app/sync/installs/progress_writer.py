"""Keeps the progress files up to date, for people who `cat` them: each is replaced at most once a second.

One thread writes all of them, so that no install waits for JSON that the API does not need.
"""

from __future__ import annotations

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
REFUSED_SECONDS = 5.0
"""How long the disk is left alone after it has refused a file."""
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
        self._due: dict[str, float] = {}
        """When each file may be replaced again, in seconds of the monotonic clock."""
        self._writing: str | None = None
        self._closing = False
        self._thread = f"progress-files-{uuid.uuid4()}"

    def put(self, status: InstallStatus, *, is_awaited: bool = True) -> None:
        """The file is to show this status. Returns at once, but at an install's end when the file is there, if that
        `is_awaited`."""
        task_id = status.snapshot.task_id
        with self._changed:
            self._unwritten[task_id] = status
            if status.ended:
                self._due.pop(task_id, None)
            self._changed.notify_all()
            if not self._closing and not self._background.is_task_running(self._thread):
                try:
                    self._background.start_task(self._thread, self._run)
                except RuntimeError as exc:  # the system gives no more threads; the next status tries again
                    _log.error("the progress files are not written: %s", exc)
            if is_awaited and status.ended and self._background.is_task_running(self._thread):
                self._changed.wait_for(lambda: task_id not in self._unwritten and self._writing != task_id, END_SECONDS)

    def drop(self, task_id: str) -> None:
        """Another service works on this install now: its file is not written here any more."""
        with self._changed:
            self._unwritten.pop(task_id, None)
            self._due.pop(task_id, None)

    def close(self, timeout: float) -> None:
        """Writes what is left, within `timeout` seconds; nothing is written afterwards."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._background.wait(self._thread, timeout)

    def _run(self) -> None:
        while (status := self._next()) is not None:
            try:
                payload = progress_json.progress(
                    status.snapshot, self._now(), heard_at=status.heard_at, require=status.require
                )
                self._files.write(status.snapshot.task_id, payload | {"summary": status.summary.to_json()})
            except StorageError as exc:
                _log.error("task %s: its progress file could not be written: %s", status.snapshot.task_id, exc)
                with self._changed:
                    if not self._closing:  # later again, unless something newer has come
                        self._unwritten.setdefault(status.snapshot.task_id, status)
                        self._due[status.snapshot.task_id] = time.monotonic() + REFUSED_SECONDS

    def _next(self) -> InstallStatus | None:
        """Waits for the next status to write; None when the service closes and nothing is left."""
        with self._changed:
            self._writing = None
            self._changed.notify_all()
            while True:
                task_id = min(self._unwritten, key=lambda each: self._due.get(each, 0.0), default=None)
                pause = None if task_id is None else self._due.get(task_id, 0.0) - time.monotonic()
                if task_id is not None and pause is not None and (pause <= 0 or self._closing):
                    status = self._unwritten.pop(task_id)
                    self._due[task_id] = time.monotonic() + EVERY_SECONDS
                    if status.ended:
                        del self._due[task_id]
                    self._writing = task_id
                    return status
                if self._closing and task_id is None:
                    return None
                self._changed.wait(pause)
