"""What the installs ask of whoever runs them: threads of this process, or workers that share a queue in PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.fleet_places import Group
from app.domain.record import InstallRecord
from app.domain.request import Request
from app.protocol.events import Queued
from app.sync.installs.answer_requests import AnswerRequests
from app.sync.installs.cancel_signal import CancelSignal
from app.sync.installs.exclusive_queue import ExclusiveKey, Waiting
from app.sync.installs.recorder import Recorder
from app.sync.installs.skip_requests import SkipRequests


@dataclass(slots=True, eq=False)
class Job:
    """An install that has not ended."""

    request: Request
    key: ExclusiveKey
    recorder: Recorder
    group: Group | None = None
    cancel: CancelSignal = field(default_factory=CancelSignal)
    skips: SkipRequests = field(default_factory=SkipRequests)
    answers: AnswerRequests = field(default_factory=AnswerRequests)

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.recorder.task_id


@dataclass(frozen=True, slots=True)
class Records:
    """How an engine gets at what is on disk. `unfinished`: every install that has not ended, in the order of their
    starts; `get`: one of them, None when it has ended or is unknown; `job_of`: what is left to do of one, None when its
    record cannot be read, which ends it."""

    unfinished: Callable[[], Iterable[InstallRecord]]
    get: Callable[[str], InstallRecord | None]
    job_of: Callable[[InstallRecord], Job | None]


class Engine(Protocol):
    """Runs installs: one at a time in one ComfyUI, in the order of their starts, each until it has ended. Every method
    may be called from any thread.

    An install's record is on disk before `submit` is called, and whoever is killed at any moment loses none: another
    goes on with it from its record, under a new lease, and what the first one still writes changes nothing."""

    @property
    def closing(self) -> threading.Event:
        """Set once this process closes: nothing is begun any more."""

    @property
    def unfinished(self) -> int:
        """How many installs run or wait, in all processes."""

    @property
    def numbers(self) -> tuple[int, int]:
        """How many installs run in this process, and how many wait (where a queue is shared: in all)."""

    @property
    def is_ready(self) -> bool:
        """Whether an install that is started now would run as far as this process is to see to it."""

    def begin(self, records: Records) -> int:
        """Goes on with what has not ended, and from now on also with what others leave; how many are resumed here."""

    def place_of(self, task_id: str) -> Waiting | None:
        """Where an install waits, and behind which; None when it does not wait, or that is not known here."""

    def knows(self, task_id: str) -> bool:
        """Whether the install runs or waits here."""

    def foresee(self, added: Sequence[tuple[str, ExclusiveKey, Group | None]]) -> Mapping[str, Queued]:
        """Which of these tasks would wait if they were submitted now, and what is said of that, where it is known. It
        need not be right."""

    def submit(self, *jobs: Job) -> None:
        """New jobs whose records are on disk, the last in their queues; one that is known already stays as it is."""

    def cancel(self, task_id: str) -> bool:
        """Cancels an install; False when nobody has it any more. One that waits ends at once."""

    def cancel_all(self, task_ids: Collection[str]) -> Collection[str]:
        """Cancels installs; the ids of those that somebody has."""

    def wake(self, task_id: str) -> bool:
        """Ends the wait of an install that tries to reach its instance; False when nobody has it."""

    def skip(self, task_id: str, package: str) -> bool:
        """Asks an install to skip a build; False when nobody has it."""

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """Answers a question of an install: the answer that holds, the first one; None when nobody has the install."""

    def close(self, timeout: float) -> None:
        """Begins nothing more, and waits up to `timeout` seconds until every install here was let go of. Their runs go
        on, and so does whoever begins next."""
