"""The use cases of installs: start, look, list, wait, cancel, go on after a restart.

Starting and looking open no connection. An `Engine` decides which install runs next; `Installation` is the run itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from app.domain import asked_for
from app.domain.errors import (
    BuildNotSkippable,
    IdempotencyConflict,
    QuestionGone,
    ServiceClosing,
    TaskNotCancellable,
    TaskNotFound,
    TooManyTasks,
)
from app.domain.limits import IDEMPOTENCY_SECONDS
from app.domain.record import InstallRecord, row_of
from app.domain.request import Request
from app.domain.same_request import is_same
from app.domain.stored_request import read_request
from app.protocol import builds, progress_json
from app.protocol.snapshot import Problem, to_stored
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.remote.connector import SshConnector
from app.settings import Settings
from app.storage.install_store import InstallStore
from app.sync.installs.answer_requests import check_answer
from app.sync.installs.engine import Engine, Job, Records
from app.sync.installs.exclusive_queue import why_waiting
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.job_runner import JobRunner
from app.sync.installs.new_installs import Accepted, Joining, group_of, new_records, place_of
from app.sync.installs.progress_answers import ProgressAnswers
from app.sync.installs.progress_cache import InstallStatus, ProgressCache
from app.sync.installs.progress_texts import Filled
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder, snapshot_of, status_of
from app.sync.installs.runner_request import check_policies, spec_of

CANCEL_SEEN_SECONDS = 1.0
"""How long a cancel or a skip waits until the install's thread has noticed it: the answer and the next poll agree."""

_log = logging.getLogger(__name__)


Keep = Callable[[Sequence[InstallRecord]], Sequence[InstallRecord]]


MOST_AT_ONCE = 200
"""Node packs of an install whose progress is soon made."""


class Installs:
    """The installs of one service. Every method may be called from any thread; StorageError when the database fails."""

    def __init__(
        self,
        *,
        store: InstallStore,
        progress_cache: ProgressCache,
        progress_writer: ProgressWriter,
        saver: GroupSaver,
        engine: Engine,
        jobs: JobRunner,
        connector: SshConnector,
        settings: Settings,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: Unix seconds."""
        self._store = store
        self._progress_cache = progress_cache
        self._progress_writer = progress_writer
        self._saver = saver
        self._engine = engine
        self._jobs = jobs
        self._connector = connector
        self._settings = settings
        self._now = now
        self._answers = ProgressAnswers(self._queue_of, settings.retry_seconds, now)

    @property
    def closing(self) -> threading.Event:
        """Set once the service closes: no install is resumed any more."""
        return self._engine.closing

    @property
    def takes_over(self) -> bool:
        """Whether this process sees to it that installs run, as far as its role asks for that."""
        return self._engine.is_ready

    @property
    def numbers(self) -> tuple[int, int]:
        """How many installs run here, and how many wait."""
        return self._engine.numbers

    def start(self, request: Request, *, own_key: bool = False, run_id: str | None = None) -> Accepted:
        """Accepts an install; it is on disk when this returns. Opens no connection. `own_key`: the idempotency key is
        the service's, and finds its task whatever was asked for; `run_id`: of the run that it joins. Raises
        TooManyTasks, ServiceClosing, IdempotencyConflict."""
        since = self._now() - IDEMPOTENCY_SECONDS

        def keep(records: Sequence[InstallRecord]) -> Sequence[InstallRecord]:
            kept = self._store.add(records[0], same_key_since=since)
            if not own_key and not is_same(kept.request, records[0].request):
                raise IdempotencyConflict(field="idempotency_key")
            return [kept]

        [accepted] = self.accept([request], keep, Joining(run_id))
        return accepted

    def accept(self, requests: Sequence[Request], keep: Keep, joining: Joining) -> list[Accepted]:
        """Accepts installs, all or none. `keep` puts their records on disk, and says for each which one counts: itself,
        or another that was accepted before. Raises TooManyTasks, ServiceClosing, and what `keep` raises."""
        self._progress_cache.drop_ended()
        if self._engine.closing.is_set():
            raise ServiceClosing
        self._check_room(len(requests))
        for request in requests:
            check_policies(request, self._settings)
        workplaces = [place_of(request, self._connector) for request in requests]
        joining.check(workplaces)
        made = new_records(requests, workplaces, self._engine, self._now(), joining)
        accepted, jobs = [], []
        for request, place, record, kept in zip(requests, workplaces, made, keep(made), strict=True):
            deduplicated = kept.task_id != record.task_id
            accepted.append(
                Accepted(kept.task_id, self._state_of(kept) if deduplicated else TaskState.QUEUED, deduplicated)
            )
            if not deduplicated:
                jobs.append(Job(request, place.key, self._recorder(record), group_of(request, kept.fleet_id)))
        self._engine.submit(*jobs)
        return accepted

    def _check_room(self, wanted: int) -> None:
        room = self.room
        if wanted > room:
            raise TooManyTasks(f"The queue has room for {room} of these {wanted} installs." if wanted > 1 else "")

    def look(self, task_id: str) -> tuple[InstallRecord, InstallStatus]:
        """A task's record, and what is known of it now. Raises TaskNotFound."""
        record = self._record(task_id)
        return record, self._status_of(record)

    def statuses(self, task_ids: Sequence[str]) -> dict[str, InstallStatus]:
        """As `status` for many; those that there are."""
        known = {task_id: status for task_id in task_ids if (status := self._progress_cache.get(task_id)) is not None}
        missing = [task_id for task_id in task_ids if task_id not in known]
        return known | {task_id: status for task_id, (_, status) in self.look_at_all(missing).items()}

    def look_at_all(self, task_ids: Sequence[str]) -> dict[str, tuple[InstallRecord, InstallStatus]]:
        """As `look` for many; those that there are."""
        return {record.task_id: (record, self._status_of(record)) for record in self._store.some(task_ids).values()}

    def _status_of(self, record: InstallRecord) -> InstallStatus:
        """What is known of it; its record where another process has ended it, and that was not heard here yet."""
        known = self._progress_cache.get(record.task_id)
        if known is None or (record.state in TERMINAL_TASK_STATES and not known.ended):
            return status_of(record, snapshot_of(record))
        return known

    def link_retry(self, task_id: str, retried_by: str | None) -> None:
        """An ended task is retried now, or will not be by itself. Its record says so already."""
        known = self._progress_cache.get(task_id)
        if known is None:
            return
        retry_links = known.retry_links
        self._progress_cache.link_retry(
            task_id, replace(retry_links, retried_by=retried_by or retry_links.retried_by, is_open=False)
        )

    def progress(
        self, task_id: str, since: int | None = None, *, patch: bool = False, line: str | None = None
    ) -> dict[str, Any]:
        """The progress JSON; with `since` equal to the revision only that nothing is new, with `patch` what has changed
        since then, where that is known. Raises TaskNotFound."""
        return self._answers.answer(self.status_with_reason(task_id), since, patch=patch, line=line)

    def progress_text(self, task_id: str, since: int | None, *, patch: bool, line: str | None) -> Filled:
        """`progress` as the text of an answer, its secrets masked. Raises TaskNotFound."""
        return self._answers.text(self.status_with_reason(task_id), since, patch=patch, line=line)

    def progress_text_at_once(self, task_id: str, since: int | None, *, patch: bool, line: str | None) -> Filled | None:
        """As `progress_text`, where that is answered from memory and soon made; None where it is not."""
        status = self._progress_cache.known(task_id)
        if status is None or status.snapshot.state is TaskState.QUEUED or len(status.snapshot.nodes) > MOST_AT_ONCE:
            return None
        return self._answers.text(status, since, patch=patch, line=line)

    def status_with_reason(self, task_id: str) -> InstallStatus:
        """As `status`, with why it waits: in a shared queue nobody would record that. Raises TaskNotFound."""
        status = self.status(task_id)
        if not self._settings.is_shared or status.snapshot.state is not TaskState.QUEUED:
            return status
        place = self._engine.place_of(status.snapshot.task_id)
        return (
            status
            if place is None
            else replace(status, snapshot=replace(status.snapshot, waiting=why_waiting(place, None)))
        )

    def _queue_of(self, task_id: str) -> dict[str, Any] | None:
        place = self._engine.place_of(task_id)
        return None if place is None else {"position": place.position, "behind": place.behind}

    def task(self, task_id: str) -> dict[str, Any]:
        """One task: what was asked for, what is planned, its progress. Raises TaskNotFound."""
        record = self._record(task_id)
        status = self.status(task_id)
        return {
            **row_of(record),
            "state": status.snapshot.state.value,
            "request": record.request,
            "plan": None if status.snapshot.plan is None else [change.to_json() for change in status.snapshot.plan],
            "probe": dict(status.snapshot.probe),
            "progress": self.progress(task_id),
        }

    def lock(self, task_id: str) -> dict[str, Any] | None:
        """What a task has installed, to install exactly that again; None until its run says it. Raises TaskNotFound,
        RunnerProtocolError for a lock that no request may have."""
        lock = self.status(task_id).snapshot.lock
        if lock is None:
            return None
        return asked_for.checked_lock(lock, self._record(task_id).request.get("manifest"), self.allowed_git_schemes)

    @property
    def allowed_git_schemes(self) -> tuple[str, ...]:
        """How git may fetch, also for tasks that follow another."""
        return tuple(self._settings.allowed_git_schemes)

    def list(
        self, *, state: str | None = None, instance: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of tasks, newest first, and the cursor of the next page if there is one. Raises InvalidRequest."""
        records = self._store.list(state=state, instance=instance, limit=limit + 1, before=cursor)
        page = records[:limit]
        more = self._store.cursor_of(page[-1]) if len(records) > limit and page else None
        return [row_of(record) for record in page], more

    def wait(self, task_id: str, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the end of a task: whether it has ended. Raises TaskNotFound."""
        if self.status(task_id).ended:
            return True
        return self._progress_cache.wait(task_id, lambda status: status.ended, timeout)

    def wait_for_change(self, task_id: str, revision: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for more than `revision`: whether there is. Raises TaskNotFound."""
        if self.status(task_id).snapshot.revision != revision:
            return True
        return self._progress_cache.wait(task_id, lambda status: status.snapshot.revision != revision, timeout)

    def cancel(self, task_id: str) -> TaskState:
        """Cancels a task, on the instance too; its state after that. Raises TaskNotFound, TaskNotCancellable,
        ServiceClosing."""
        if self._engine.closing.is_set():
            raise ServiceClosing
        if self.status(task_id).ended:
            raise TaskNotCancellable
        if not self._engine.cancel(task_id):
            raise TaskNotCancellable
        _log.info("task %s: cancel was asked for", task_id)

        self._progress_cache.wait(task_id, _shows_cancel, CANCEL_SEEN_SECONDS)
        return self.status(task_id).snapshot.state

    def cancel_all(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """Cancels these tasks; the states after that of those that heed it. Others have ended, or are not here. Raises
        ServiceClosing."""
        if self._engine.closing.is_set():
            raise ServiceClosing
        heeding = self._engine.cancel_all(task_ids)
        _log.info("%d tasks: cancel was asked for", len(heeding))
        deadline = time.monotonic() + CANCEL_SEEN_SECONDS
        for task_id in heeding:
            self._progress_cache.wait(task_id, _shows_cancel, max(0.0, deadline - time.monotonic()))
        return {task_id: self.status(task_id).snapshot.state for task_id in task_ids if task_id in heeding}

    @property
    def room(self) -> int:
        """How many more installs would be accepted now."""
        return max(0, self._settings.max_running + self._settings.max_waiting - self._engine.unfinished)

    def wake(self, task_id: str) -> bool:
        """Ends an install's wait for its next try; False when it is not here."""
        return self._engine.wake(task_id)

    def skip(self, task_id: str, package: str) -> dict[str, Any]:
        """Skips the build of a package, on the instance too; the build as progress shows it after that. Raises
        TaskNotFound, BuildNotSkippable, ServiceClosing."""
        if self._engine.closing.is_set():
            raise ServiceClosing
        key = builds.package_key(package)
        live = builds.live(self.status(task_id).snapshot)
        if key not in live or not self._engine.skip(task_id, key):
            can_be = f"These are: {', '.join(live)}." if live else "The task builds nothing now."
            raise BuildNotSkippable(f"No build of {key} is waiting or running. {can_be}", field="package")
        _log.info("task %s: a skip of the build of %s was asked for", task_id, key)

        def shows_skip(status: InstallStatus) -> bool:
            return key not in builds.live(status.snapshot) or status.snapshot.builds[key].skip_requested

        self._progress_cache.wait(task_id, shows_skip, CANCEL_SEEN_SECONDS)
        snapshot = self.status(task_id).snapshot
        return builds.row(snapshot, snapshot.builds[key], self._now())

    def answer(self, task_id: str, question: str, word: str) -> dict[str, Any]:
        """Answers a question of the run; the question as progress shows it after that. The same answer again changes
        nothing. Raises TaskNotFound, QuestionNotFound, QuestionGone, InvalidRequest, ServiceClosing."""
        if self._engine.closing.is_set():
            raise ServiceClosing
        known = check_answer(self.status(task_id).snapshot, question, word)
        holds = known.requested or known.answer or self._engine.answer(task_id, question, word)
        if holds != word:
            raise QuestionGone(field="id")
        _log.info("task %s: question %s was answered: %s", task_id, question, word)

        def shows_answer(status: InstallStatus) -> bool:
            asked = status.snapshot.questions.get(question)
            return status.ended or asked is None or (asked.requested or asked.answer) is not None

        self._progress_cache.wait(task_id, shows_answer, CANCEL_SEEN_SECONDS)
        snapshot = self.status(task_id).snapshot
        return progress_json.question_row(snapshot, snapshot.questions.get(question, known))

    def resume_unfinished(self) -> int:
        """Goes on with the installs that an earlier service left unfinished, in their order; how many are resumed here.
        From now on also with those that another process on the database leaves."""
        return self._engine.begin(Records(self._store.unfinished, self._unended, self._job_of))

    def close(self, timeout: float = 3.0) -> None:
        """Lets go of every install within `timeout` seconds; the runs go on, and `resume_unfinished` finds them."""
        deadline = time.monotonic() + timeout
        self._engine.closing.set()
        self._progress_cache.wake()
        self._engine.close(timeout)
        self._saver.close(max(0.5, deadline - time.monotonic()))
        self._progress_writer.close(max(0.5, deadline - time.monotonic()))

    # -- records ----------------------------------------------------------------------------------------------------

    def _job_of(self, record: InstallRecord) -> Job | None:
        """What is left to do of an install; None for one whose record cannot be read, which ends it."""
        try:
            request = read_request(record.request)
            spec_of(record.task_id, request, self._settings)  # nothing may be missing once it runs
            key, group = place_of(request, self._connector).key, group_of(request, record.fleet_id)
            return Job(request, key, self._recorder(record), group)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            _log.error("task %s: its record cannot be read: %r", record.task_id, exc)
            self._give_up_unreadable(record)
            return None

    def _unended(self, task_id: str) -> InstallRecord | None:
        record = self._store.get(task_id)
        return None if record is None or record.state in TERMINAL_TASK_STATES else record

    def _recorder(self, record: InstallRecord) -> Recorder:
        return Recorder(record, self._progress_cache, self._saver, self._progress_writer, self._now)

    def _record(self, task_id: str) -> InstallRecord:
        record = self._store.get(task_id)
        if record is None:
            raise TaskNotFound(field="task_id")
        return record

    def status(self, task_id: str) -> InstallStatus:
        """From memory; an install that ended long ago comes there from its record. Raises TaskNotFound."""
        status = self._progress_cache.get(task_id)
        if status is None:
            record = self._record(task_id)
            status = self._progress_cache.learn(status_of(record, snapshot_of(record)))
        return status

    def _state_of(self, record: InstallRecord) -> TaskState:
        status = self._progress_cache.get(record.task_id)
        return record.state if status is None else status.snapshot.state

    def _give_up_unreadable(self, record: InstallRecord) -> None:
        """Ends a task that cannot be gone on with, unless another service holds it, which may be able to."""
        message = "This task was started by another version of Nodeferry, which has left a record that cannot be read."
        error = Problem("record_unreadable", message, "Start a new install of the same packs.")
        self._jobs.give_up(self._recorder(replace(record, snapshot=to_stored(snapshot_of(record)))), error)


def _shows_cancel(status: InstallStatus) -> bool:
    return status.ended or status.snapshot.state is TaskState.CANCELLING
