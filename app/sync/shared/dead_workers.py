"""Finds the installs whose process is gone, says so, and gives them to others.

Every process looks, also one that only answers: where no worker is left, people are told all the same. Who is judged
is in app/storage/presence.py; when, here: only by whoever has been connected for a while and was answered promptly.
After an outage nobody has a session, after a pause of the database nobody's heartbeat is new, and whoever was itself
suspended has seen nothing.

To be wrong does no harm: what is said, and whoever goes on, has a lease with a higher token, and a worker that lives
after all lets go.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection

from sqlalchemy import Engine

from app.protocol.event_body import Body
from app.protocol.events import Interrupted, Queued
from app.protocol.snapshot import WORKER_GONE, Problem, Snapshot
from app.protocol.states import Phase, StepStatus, TaskState
from app.storage.errors import StorageError
from app.storage.presence import Left, Presence, present
from app.storage.shared_queue import SharedQueueStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.engine import Records
from app.sync.installs.recorder import Recorder
from app.sync.shared.queue_worker import Pace

_GONE = Problem("worker_gone", "Another process takes it over as soon as it can. Its own is gone")
_GOES_ON = Problem(
    "worker_gone",
    "Another process takes it over as soon as it can. Its own is gone; on the machine the install goes on",
)
_IS_STOPPED = Problem(
    "worker_gone",
    "Another process stops it on the machine as soon as it can. Its own is gone",
)
_PROMPT_SECONDS = 1.0
"""Longer than that, and somebody was paused: the database, or this process."""
_AGAIN_SECONDS = 0.5
_START_SECONDS = 5.0
_NEVER = 1e6

_log = logging.getLogger(__name__)


class DeadWorkers:
    """Of one process, with a thread of its own from `begin` to `close`."""

    def __init__(
        self,
        engine: Engine,
        background: BackgroundTaskManager,
        *,
        owner: str,
        numbers: Callable[[], Collection[int]],
        say: Callable[[Recorder, Body], None],
        pace: Pace | None = None,
    ) -> None:
        """`owner`: a name for the data folder, `numbers`: of the workers of this process; `say`: says something of an
        install that nobody runs."""
        self._engine = engine
        self._background = background
        self._store = SharedQueueStore(engine)
        self._owner = owner
        self._numbers = numbers
        self._say = say
        self._pace = pace or Pace()
        self._records: Records | None = None
        self._closing = threading.Event()
        self._thread = f"presence-{uuid.uuid4()}"

    def begin(self, records: Records) -> None:
        """Looks from now on."""
        self._records = records
        self._background.start_task(self._thread, self._run)

    def close(self, timeout: float) -> None:
        """Ends the thread within `timeout` seconds; the workers of this process are not there any more."""
        self._closing.set()
        self._background.wait(self._thread, timeout)

    def _run(self) -> None:
        failed, is_first = False, True
        while not self._closing.is_set():
            try:
                with present(self._engine, self._owner) as session:
                    failed, was_first, is_first = False, is_first, False
                    self._look_on(session, _START_SECONDS if was_first else 0.0)
            except StorageError as exc:
                _log.log(
                    logging.DEBUG if failed else logging.WARNING, "whose worker is gone is not seen: %s", exc.message
                )
                failed = True
            self._closing.wait(_AGAIN_SECONDS)

    def _look_on(self, session: Presence, own_seconds: float) -> None:
        """Until the process closes. `own_seconds`: how long it also takes what an earlier process on the same data
        folder has left, unasked; later, whoever has the name as well may have lost its session with all others. Raises
        StorageError."""
        well_since = time.monotonic()
        while not self._closing.is_set():
            began = time.monotonic()
            session.hold(self._numbers())
            well = began - well_since
            left = session.left(
                gone=self._pace.gone if well >= self._pace.settled else _NEVER,
                silent=self._pace.stalled if well >= max(self._pace.settled, self._pace.stalled) else _NEVER,
                takes_own=well < own_seconds,
            )
            if time.monotonic() - began > _PROMPT_SECONDS:
                left, well_since = [], time.monotonic()
            for each in left:
                self._give_to_others(each)
            began = time.monotonic()
            self._closing.wait(self._pace.look)
            if time.monotonic() - began > self._pace.look + _PROMPT_SECONDS:
                well_since = time.monotonic()

    def _give_to_others(self, left: Left) -> None:
        try:
            if left.token is not None and not left.is_own:
                self._say_why(left.task_id, left.token)
            if self._store.put_back(left.job_id):
                _log.warning("task %s: the process that had it is gone; it is in the queue again", left.task_id)
        except StorageError as exc:  # the next look tries again
            _log.warning("task %s: its process is gone, and it could not be given to another: %s", left.task_id, exc)

    def _say_why(self, task_id: str, token: int) -> None:
        """Unless somebody has claimed the install since, or has told already."""
        record = None if self._records is None else self._records.get(task_id)
        if self._records is None or record is None or record.lease_token != token:
            return
        job = self._records.job_of(record)
        said = None if job is None else _said_of(job.recorder.snapshot)
        if job is not None and said is not None:
            self._say(job.recorder, said)


def _said_of(snapshot: Snapshot) -> Body | None:
    """What is to be said of an install that nobody follows; None where nothing is."""
    if snapshot.state is TaskState.QUEUED or snapshot.waits_for(WORKER_GONE):
        return None
    uploaded = snapshot.phases.get(Phase.UPLOAD)
    if uploaded is None or uploaded.status is not StepStatus.SUCCESS:
        return Queued(_GONE)
    return Interrupted(_IS_STOPPED if snapshot.state is TaskState.CANCELLING else _GOES_ON)
