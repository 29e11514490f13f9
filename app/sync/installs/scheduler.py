"""Schedules installs: gives each one that may run a thread, and records why the others wait.

An install that waits has no thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from app.domain.fleet_places import Group
from app.protocol.events import GivenUp, Queued
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from app.storage.errors import LeaseLost, StorageError
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.engine import Job, Records
from app.sync.installs.exclusive_queue import ExclusiveKey, ExclusiveQueue, Waiting, why_waiting
from app.sync.installs.lease_keeper import LeaseKeeper

_log = logging.getLogger(__name__)

_FEW = 8
"""So many that wait are told on disk before the start is answered; of more, soon after it."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the dispatching thread does next: start these, end these that have not begun, say of these why they wait."""

    starting: list[Job]
    unbegun: list[Job]
    waiting: list[tuple[Job, Waiting]]


class Scheduler:
    """The unfinished installs of one service. Every method may be called from any thread.

    Until an install's thread is started only the dispatching thread writes its recorder, from then on only its own.
    """

    def __init__(
        self,
        background: BackgroundTaskManager,
        run: Callable[[Job], None],
        max_running: int,
        lease_keeper: LeaseKeeper,
        *,
        end: Callable[[Sequence[Job]], None] | None = None,
    ) -> None:
        """`run`: an install's life, called in its thread; `end`: ends those that were cancelled before they began
        (default: `run` does). Once the keeper's `closing` is set nothing is started any more."""
        self.closing = lease_keeper.closing
        self._lease_keeper = lease_keeper
        self._background = background
        self._run_job = run
        self._max_running = max_running
        self._lock = threading.Lock()
        self._queue = ExclusiveQueue(max_running)
        self._jobs: dict[str, Job] = {}
        self._end = end
        self._cancelled_early: list[Job] = []
        self._cancelled_unbegun: list[Job] = []
        self._dispatching = False
        self._undispatched = False

    @property
    def is_ready(self) -> bool:
        """Whether what an earlier service left has been resumed, and stalled installs are found."""
        return self._lease_keeper.takes_over

    def begin(self, records: Records) -> int:
        """Resumes what an earlier service left, in its order; how many. From now on also what others release."""
        jobs = [job for job in map(records.job_of, records.unfinished()) if job is not None]
        self.submit(*jobs)
        self._lease_keeper.begin(lambda task_id: self._take_over(task_id, records))
        return len(jobs)

    def _take_over(self, task_id: str, records: Records) -> None:
        """An install that nobody works on."""
        record = None if self.knows(task_id) else records.get(task_id)
        job = None if record is None else records.job_of(record)
        if job is not None:
            _log.info("task %s: nobody works on it; resuming it", task_id)
            self.submit(job)

    @property
    def unfinished(self) -> int:
        """How many installs run or wait."""
        with self._lock:
            return len(self._jobs)

    def place_of(self, task_id: str) -> Waiting | None:
        """Where an install waits, and behind which; None when it does not wait here."""
        with self._lock:
            return self._queue.place_of(task_id)

    @property
    def numbers(self) -> tuple[int, int]:
        """How many installs run, and how many wait."""
        with self._lock:
            return self._queue.numbers

    def knows(self, task_id: str) -> bool:
        """Whether the install runs or waits here."""
        with self._lock:
            return task_id in self._jobs

    def foresee(self, added: Sequence[tuple[str, ExclusiveKey, Group | None]]) -> dict[str, Queued]:
        """Which of these tasks would wait if they were submitted now, and what is said of that: so that it stands in
        their records from the beginning. It need not be right; `submit` corrects it."""
        with self._lock:
            waiting = self._queue.foreseen(added)
        wanted = {task_id for task_id, _, _ in added}
        return {
            each.task_id: Queued(why_waiting(each, self._max_running), position=each.position)
            for each in waiting.values()
            if each.task_id in wanted
        }

    def submit(self, *jobs: Job) -> None:
        """New jobs, the last in their queues; one that is known already stays as it is."""
        with self._lock:
            for job in jobs:
                self._queue.add(job.task_id, job.key, job.group)
                self._jobs.setdefault(job.task_id, job)
        self._dispatch()

    def cancel(self, task_id: str) -> bool:
        """Cancels an install; False when it is not here. One that waits gets a thread for its end at once."""
        with self._lock:
            job = self._jobs.get(task_id)
        if job is None:
            return False
        job.cancel.set()  # without the lock: it may close a connection
        with self._lock:
            if self._queue.remove(task_id):
                self._cancelled_early.append(job)
        self._background.cancel(task_id)
        self._dispatch()
        return True

    def cancel_all(self, task_ids: Collection[str]) -> set[str]:
        """Cancels installs; the ids of those that are here. Those that have not begun are ended together."""
        with self._lock:
            jobs = [self._jobs[task_id] for task_id in task_ids if task_id in self._jobs]
        for job in jobs:
            job.cancel.set()  # without the lock: it may close a connection
        with self._lock:
            for job in jobs:
                if self._queue.remove(job.task_id):
                    unbegun = job.recorder.snapshot.state is TaskState.QUEUED
                    (self._cancelled_unbegun if unbegun else self._cancelled_early).append(job)
        for job in jobs:
            self._background.cancel(job.task_id)
        self._dispatch()
        return {job.task_id for job in jobs}

    def wake(self, task_id: str) -> bool:
        """Ends the wait of an install that tries to reach its instance; False when it is not here."""
        with self._lock:
            job = self._jobs.get(task_id)
        if job is None:
            return False
        job.cancel.wake()
        return True

    def skip(self, task_id: str, package: str) -> bool:
        """Asks an install to skip a build; False when it is not here."""
        with self._lock:
            job = self._jobs.get(task_id)
        if job is None:
            return False
        job.skips.add(package)
        return True

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """Answers a question of an install: the answer that holds, the first one; None when the install is not here."""
        with self._lock:
            job = self._jobs.get(task_id)
        return None if job is None else job.answers.add(question, word)

    def close(self, timeout: float) -> None:
        """Starts nothing more, and waits up to `timeout` seconds until every thread has released its install."""
        self.closing.set()
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel.set()  # wakes it; it looks at `closing` first
        deadline = time.monotonic() + timeout
        for job in jobs:
            self._background.wait(job.task_id, max(0.0, deadline - time.monotonic()))
        self._lease_keeper.end(max(0.0, deadline - time.monotonic()))

    def _dispatch(self) -> None:
        """Starts what may run, until nothing is left to do. One thread at a time does it, without holding the lock;
        threads that come meanwhile leave the work to it."""
        with self._lock:
            self._undispatched = True
            if self._dispatching:
                return
            self._dispatching = True
        try:
            while (batch := self._next_batch()) is not None:
                self._start_batch(batch)
        except BaseException:
            with self._lock:
                self._dispatching = False
            raise

    def _next_batch(self) -> _Batch | None:
        """What is to be done; None when there is nothing more."""
        with self._lock:
            if not self._undispatched or self.closing.is_set():
                self._dispatching = False
                return None
            self._undispatched = False
            cancelled, self._cancelled_early = self._cancelled_early, []
            unbegun, self._cancelled_unbegun = self._cancelled_unbegun, []
            admitted = [self._jobs[task_id] for task_id in self._queue.admit()]
            waiting = [(self._jobs[waiting.task_id], waiting) for waiting in self._queue.waiting()]
        return _Batch([*cancelled, *admitted], unbegun, waiting)

    def _start_batch(self, batch: _Batch) -> None:
        for job in [*batch.starting, *self._not_ended(batch.unbegun)]:
            try:
                self._background.start_task(job.task_id, self._run, job)
            except RuntimeError as exc:  # the system gives no more threads
                error = Problem("no_thread", f"The service's machine allows no more threads: {exc}.")
                job.recorder.emit(GivenUp(TaskState.FAILED, error))
                self._forget(job)
        told = [(job, why, why_waiting(why, self._max_running)) for job, why in batch.waiting]
        told = [
            each for each in told if each[0].recorder.snapshot.waiting != each[2]
        ]  # after a restart it mostly is known
        for job, why, reason in told:
            try:
                job.recorder.emit(Queued(reason, position=why.position), soon=len(told) > _FEW)
            except LeaseLost:
                self._forget(job)

    def _not_ended(self, unbegun: list[Job]) -> list[Job]:
        """Ends jobs that were cancelled before they began; those that get a thread for it, since that failed."""
        if self._end is None or not unbegun:
            return unbegun
        try:
            self._end(unbegun)
        except StorageError as exc:
            _log.error("%d cancelled installs could not be ended together: %s", len(unbegun), exc)
        for job in unbegun:
            if job.recorder.ended or job.recorder.lost:
                self._forget(job)
        return [job for job in unbegun if not job.recorder.ended and not job.recorder.lost]

    def _run(self, job: Job) -> None:
        """The target of an install's thread. It looks at the job's own event, which can be set before that."""
        try:
            self._run_job(job)
        finally:
            self._forget(job)
            self._dispatch()

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._queue.remove(job.task_id)
            self._queue.done(job.task_id)
            self._jobs.pop(job.task_id, None)
            self._undispatched = True
