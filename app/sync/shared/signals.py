"""What a person asks of an install, from whichever process was asked to the one that runs it.

What is asked is written first, and stays until the install has ended: a worker reads it when it begins with an install,
when it hears that there is something, and after it has heard nothing for a while. Each is done once by each worker, and
a runner takes a second one of the same for the first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from app.protocol import questions
from app.protocol.snapshot import Problem
from app.protocol.states import Phase, StepStatus, TaskState
from app.storage.errors import StorageError
from app.storage.signals import Cancel, Kind, Signal, SignalStore
from app.sync.installs.engine import Job, Records
from app.sync.installs.recorder import Recorder
from app.sync.shared.shared_progress import SharedProgress

GiveUp = Callable[[Recorder, Problem | None, TaskState], None]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """An install that runs here, and which signals it has been given."""

    job: Job
    done: set[int] = field(default_factory=set)


class SharedSignals:
    """The signals of one process. Any thread; what a person asks raises StorageError when the database fails."""

    def __init__(self, store: SignalStore, give_up: GiveUp, progress: SharedProgress) -> None:
        """`give_up`: ends an install that nobody runs."""
        self._store = store
        self._give_up = give_up
        self._progress = progress
        self._records: Records | None = None
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self.when_given: Callable[[str, float], None] = lambda _kind, _seconds: None
        """Called with what an install here was given, and how long after it was asked for."""

    def begin(self, records: Records) -> None:
        """From now on, installs that no worker has can be ended here."""
        self._records = records

    # -- for whoever is asked ---------------------------------------------------------------------------------------

    def cancel(self, task_id: str) -> bool:
        """Cancels an install; False when it has ended. One that no worker has ends at once, here."""
        with self._lock:
            held = self._held.get(task_id)
        if held is not None:
            held.job.cancel.set()  # whatever the database says
            with suppress(StorageError):
                self._store.add(task_id, Kind.CANCEL)
            return True
        record = self._records and self._records.get(task_id)
        job = self._records.job_of(record) if self._records and record else None
        if job is None:
            return False
        done = self._store.cancel(task_id, unqueue=not _may_run(job))
        if done is Cancel.UNQUEUED:
            self._end_waiting(task_id)
        return done is not Cancel.ENDED

    def cancel_all(self, task_ids: Collection[str]) -> set[str]:
        """Cancels installs; those that have not ended. Those that wait for a place of their fleet leave the queue
        first: else the end of one that runs would begin one of them."""
        held = self._store.cancel_held(task_ids)
        cancelled = {task_id for task_id in task_ids if task_id not in held and self.cancel(task_id)}
        for task_id in held:
            self._end_waiting(task_id)
        return cancelled | held

    def wake(self, task_id: str) -> bool:
        """Ends the wait of an install that tries to reach its instance; False when it has ended."""
        return self._add(task_id, Kind.WAKE) is not None

    def skip(self, task_id: str, package: str) -> bool:
        """Asks an install to skip a build; False when it has ended."""
        return self._add(task_id, Kind.SKIP, package) is not None

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """Answers a question of an install: the answer that holds, the first one; None when it has ended."""
        return self._add(task_id, Kind.ANSWER, question, word)

    def _add(self, task_id: str, kind: Kind, subject: str = "", value: str = "") -> str | None:
        holds = self._store.add(task_id, kind, subject, value)
        if holds is not None:
            self._give(self._held_of([task_id]))
        return holds

    def _end_waiting(self, task_id: str) -> None:
        """Ends an install that was taken out of the queue. Where that fails it is queued again, and its worker ends
        it."""
        record = self._records and self._records.get(task_id)
        job = self._records.job_of(record) if self._records and record else None
        if job is not None:
            self._give_up(job.recorder, None, TaskState.CANCELLED)

    # -- for the process that runs it -------------------------------------------------------------------------------

    @contextmanager
    def holding(self, job: Job) -> Iterator[None]:
        """For an install's thread: gives it what was asked before and what is asked while the block runs."""
        task_id = job.task_id
        with self._lock:
            self._held[task_id] = _Held(job)
        try:
            with suppress(StorageError):  # when the database is back, the listener gives it all that there is
                self._give(self._held_of([task_id]))
            if next(iter(questions.unanswered(job.recorder.snapshot)), None) is not None:
                self._progress.when_asked(task_id)  # who began it may have died before anybody was told
            yield
        finally:
            with self._lock:
                self._held.pop(task_id, None)
            self._let_go(job)

    def receive(self, payloads: Sequence[str]) -> None:
        """These task_ids were named. Raises StorageError where it cannot be read what for."""
        self._give(self._held_of(payloads))

    def look_at_all(self) -> None:
        """Whatever is asked of the installs here: something may not have been heard. Raises StorageError."""
        with self._lock:
            held = dict(self._held)
        self._give(held)

    def _held_of(self, task_ids: Collection[str]) -> dict[str, _Held]:
        with self._lock:
            return {task_id: self._held[task_id] for task_id in task_ids if task_id in self._held}

    def _give(self, held: dict[str, _Held]) -> None:
        for signal in self._store.pending(held) if held else ():
            of_task = held[signal.task_id]
            with self._lock:
                is_new = signal.number not in of_task.done
                of_task.done.add(signal.number)
            if is_new:
                _apply(signal, of_task.job)
                self.when_given(signal.kind.value, signal.age)

    def _let_go(self, job: Job) -> None:
        if not job.recorder.ended:
            self._progress.let_go(job.task_id)
        elif not job.recorder.lost:
            try:
                self._store.forget(job.task_id)
            except StorageError as exc:  # the history's upkeep does it
                _log.warning("task %s: what was asked of it stays noted: %s", job.task_id, exc.message)


def _apply(signal: Signal, job: Job) -> None:
    """Nothing here waits."""
    _log.info("task %s: %s is asked for", signal.task_id, signal.kind.value)
    if signal.kind is Kind.CANCEL:
        job.cancel.set()
    elif signal.kind is Kind.WAKE:
        job.cancel.wake()
    elif signal.kind is Kind.SKIP:
        job.skips.add(signal.subject)
    else:
        job.answers.add(signal.subject, signal.value)


def _may_run(job: Job) -> bool:
    """Whether its instance may have been told to begin: then that has to be told of the end."""
    uploaded = job.recorder.snapshot.phases.get(Phase.UPLOAD)
    return uploaded is not None and uploaded.status is StepStatus.SUCCESS
