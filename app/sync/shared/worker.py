"""The installs of the shared queue that this process runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.storage.shared_queue import INSTALL, INSTALLS
from app.sync.installs.engine import Job, Records
from app.sync.shared.queue_worker import Kind, QueueWorker


class InstallWorker:
    """`Works` of a process. Every method may be called from any thread."""

    def __init__(
        self, queue: QueueWorker, run: Callable[[Job], None], closing: threading.Event, max_running: int
    ) -> None:
        """`run`: an install's life, called in its thread."""
        self._queue = queue
        self._run_job = run
        self._closing = closing
        self._max_running = max_running
        self._lock = threading.Lock()
        self._running: dict[str, Job] = {}
        self._records: Records | None = None
        self.more: list[Kind] = []
        """What else this process does of the queue."""

    def begin(self, records: Records) -> None:
        """Takes installs out of the queue from now on."""
        self._records = records
        self._queue.begin([Kind(INSTALLS, INSTALL, self._max_running, self._run, self._let_go), *self.more])

    @property
    def is_working(self) -> bool:
        """Whether it takes installs."""
        return self._queue.is_working

    @property
    def running(self) -> int:
        """How many installs run here."""
        with self._lock:
            return len(self._running)

    def job(self, task_id: str) -> Job | None:
        """An install that runs here."""
        with self._lock:
            return self._running.get(task_id)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the workers of this process, in the queue."""
        return self._queue.numbers

    def close(self, timeout: float) -> None:
        """After `closing` was set: lets go of every install within `timeout` seconds."""
        self._queue.close(timeout)

    def _run(self, task_id: str) -> bool:
        """Runs an install, in its thread; whether it has ended. Raises StorageError."""
        assert self._records is not None
        record = self._records.get(task_id)
        job = None if record is None else self._records.job_of(record)
        if job is None:
            self._queue.settle(task_id)
            return True
        with self._lock:
            self._running[task_id] = job
        try:
            if self._closing.is_set():
                return False
            self._run_job(job)
        finally:
            with self._lock:
                self._running.pop(task_id, None)
        return self._records.get(task_id) is None

    def _let_go(self, task_id: str, lost: bool) -> None:
        job = self.job(task_id)
        if job is None:
            return
        if lost:
            job.recorder.lose()
        job.cancel.set()  # wakes it; it looks first whether the process closes, or the install is lost
