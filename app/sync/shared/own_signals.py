"""What is asked of the installs that run in this process, and the end of those that wait and are cancelled."""

from __future__ import annotations

from collections.abc import Callable

from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from app.storage.shared_queue import SharedQueueStore
from app.sync.installs.engine import Job, Records
from app.sync.installs.recorder import Recorder


class OwnSignals:
    """`Signals` of a service with one process. `end`: as JobRunner.give_up; `job`: an install that runs here."""

    def __init__(
        self,
        store: SharedQueueStore,
        end: Callable[[Recorder, Problem | None, TaskState], None],
        job: Callable[[str], Job | None],
    ) -> None:
        self._store = store
        self._end = end
        self._job = job
        self._records: Records | None = None

    def begin(self, records: Records) -> None:
        """From now on those that wait can be ended."""
        self._records = records

    def cancel(self, task_id: str) -> bool:
        """Cancels one that runs here, or that waits."""
        job = self._job(task_id)
        if job is not None:
            job.cancel.set()
            return True
        return self._end_waiting(task_id)

    def wake(self, task_id: str) -> bool:
        """Ends the wait of one that runs here."""
        job = self._job(task_id)
        if job is None:
            return False
        job.cancel.wake()
        return True

    def skip(self, task_id: str, package: str) -> bool:
        """Skips a build of one that runs here."""
        job = self._job(task_id)
        if job is None:
            return False
        job.skips.add(package)
        return True

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """Answers a question of one that runs here."""
        job = self._job(task_id)
        return None if job is None else job.answers.add(question, word)

    def _end_waiting(self, task_id: str) -> bool:
        """Claims it before any worker does; its job then finds nothing left to do."""
        record = None if self._records is None else self._records.get(task_id)
        job = None if record is None or self._records is None else self._records.job_of(record)
        if job is None or self._store.place_of(task_id) is None:
            return False
        self._end(job.recorder, None, TaskState.CANCELLED)
        return job.recorder.ended and not job.recorder.lost
