"""What an install's thread does around the run itself: it holds the lease, counts the end, and passes it on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from app.protocol.event_body import Body
from app.protocol.events import GivenUp
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from app.remote.connector import SshConnector
from app.settings import Settings
from app.storage.errors import LeaseLost
from app.storage.log_files import Logs
from app.sync.installs import runner_request
from app.sync.installs.engine import Job
from app.sync.installs.giving_way import GivingWay
from app.sync.installs.lease_keeper import LeaseKeeper
from app.sync.installs.recorder import Recorder
from app.sync.installs.worker import Installation
from app.sync.metrics import Metrics

_GIVING_WAY = GivingWay()

_log = logging.getLogger(__name__)


class JobRunner:
    """Runs the jobs of one service. `run` is called once for each job, in the job's thread."""

    def __init__(
        self,
        *,
        lease_keeper: LeaseKeeper,
        connector: SshConnector,
        settings: Settings,
        logs: Logs,
        metrics: Metrics,
        closing: threading.Event,
    ) -> None:
        self._lease_keeper = lease_keeper
        self._connector = connector
        self._settings = settings
        self._logs = logs
        self._metrics = metrics
        self.closing = closing
        self.when_ended: Callable[[str], None] = lambda _task_id: None
        """Called with the task_id after an install's end was saved."""
        self.while_held: Callable[[Job], AbstractContextManager[None]] = lambda _job: nullcontext()
        """Around a job's run, with its lease."""

    def run(self, job: Job) -> None:
        """An install's thread, from its lease to its end."""
        with _GIVING_WAY.counted(), self._lease_keeper.holding(job.recorder, wake=job.cancel) as held:
            if not held:
                return
            self._count(job.recorder)
            with self.while_held(job):
                self._installation(job).run()
            if job.recorder.lost:
                self._metrics.lease_lost()
            elif job.recorder.ended:
                self._metrics.finished(job.recorder.snapshot)
        if job.recorder.ended and not job.recorder.lost:
            self.when_ended(job.task_id)

    def _count(self, recorder: Recorder) -> None:
        recorder.when_saved = self._metrics.saved
        _log.info("task %s: working on it (lease %d)", recorder.task_id, recorder.token)
        if recorder.token > 1:
            self._metrics.taken_up()

    def _installation(self, job: Job) -> Installation:
        return Installation(
            runner_request.spec_of(job.task_id, job.request, self._settings),
            job.recorder,
            self._connector.asking_first(job.request.options.first_contact == "ask"),
            self._settings.timeouts,
            logs=self._logs,
            metrics=self._metrics,
            cancel=job.cancel,
            skips=job.skips,
            answers=job.answers,
            closing=self.closing,
        )

    def give_up(self, recorder: Recorder, error: Problem | None, state: TaskState = TaskState.FAILED) -> None:
        """Ends a task that nobody runs in this state, unless another service holds it."""
        with suppress(LeaseLost), self._lease_keeper.holding(recorder, wake=threading.Event()) as held:
            if held:
                recorder.emit(GivenUp(state, error))
        if recorder.ended and not recorder.lost:
            self.when_ended(recorder.task_id)

    def say(self, recorder: Recorder, body: Body) -> None:
        """Says something of a task that nobody runs, unless another service has taken it since its record was read."""
        with suppress(LeaseLost), self._lease_keeper.holding(recorder, wake=threading.Event()) as held:
            if held:
                recorder.emit(body)
