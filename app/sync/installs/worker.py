"""One install on one instance, from its first connection to its end, in one thread.

First attach, attaching again after a cut line and after a restart of the service are one code path: connect, have the
runner there, start it (which does nothing when it was started before), follow its journal from the last folded offset.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from functools import partial

from app.domain.errors import (
    AppError,
    JournalChanged,
    NotStored,
    RemoteError,
    RunnerError,
    RunnerLost,
    RunnerProtocolError,
    RunStalled,
    TooMuchOutput,
)
from app.protocol import budgets
from app.protocol.clean_text import clean_block, clean_line
from app.protocol.events import (
    Attached,
    CancelRequested,
    Connected,
    Connecting,
    GivenUp,
    Interrupted,
    Uploaded,
    WaitingForInstance,
    Warned,
)
from app.protocol.snapshot import WORKER_GONE, Problem
from app.protocol.states import Phase, StepStatus, TaskState
from app.remote.connector import SshConnector
from app.remote.follow import CancelNoted, CancelRequest, Ended, Follow, Frame, JournalLine, LogPiece
from app.remote.host import RemoteHost
from app.remote.pace import INSTALL, Meter
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.remote.turn import FOLDING
from app.settings import Timeouts
from app.storage.errors import LeaseLost, StorageError
from app.storage.log_files import Logs
from app.sync.installs.answer_requests import AnswerRequests, send_answers
from app.sync.installs.backoff import Backoff, is_worth_waiting
from app.sync.installs.cancel_signal import CancelSignal
from app.sync.installs.cancel_watch import CancelWatch
from app.sync.installs.cpu_share import CpuShare
from app.sync.installs.install_spec import InstallSpec
from app.sync.installs.log_receiver import LogReceiver, receiving_logs
from app.sync.installs.progress_watch import ProgressWatch
from app.sync.installs.recorder import Recorder
from app.sync.installs.sealed_journal import SealedJournal
from app.sync.installs.skip_requests import SkipRequests, send_skips
from app.sync.installs.user_commands import CommandStream
from app.sync.installs.wakers import woken_by
from app.sync.metrics import Metrics

BUSY_SECONDS = 0.5
"""How long a silent runner is listened to while something is on its way to it; else as long as `ProgressWatch` says."""
CANCEL_SECONDS = 10.0  # after which a warning says that the runner has not ended
_COMMAND_AFTER_SECONDS = 1.0  # when a cancel is sent as a command of its own, too
_LAST_CANCEL_SECONDS = 15.0
"""For a cancel that is tried once more after the task has ended without a sign that it had arrived."""
_UNCONFIRMED = "Cancelled here, but the instance did not confirm it. The install may still run there."
_GOES_ON = "Stopped. The machine knows of the stop, but may still be putting things back, or go on with the install."
KEEP_SECONDS = 3600.0  # for an end that the service's own disk refuses

_log = logging.getLogger(__name__)


class _Leaving(Exception):
    """The service closes: the thread ends, the run on the instance does not."""


class Installation:
    """The life of one install. `run` is called once, in its own thread; `cancel` and `closing` may be set from any.

    When the service closes, both are to be set, `closing` first: `cancel` wakes the waits."""

    def __init__(
        self,
        spec: InstallSpec,
        recorder: Recorder,
        connector: SshConnector,
        timeouts: Timeouts,
        *,
        logs: Logs,
        metrics: Metrics,
        cancel: CancelSignal,
        skips: SkipRequests,
        answers: AnswerRequests,
        closing: threading.Event,
    ) -> None:
        self._spec = spec
        self._recorder = recorder
        to, key = spec.address, spec.host_key_sha256
        self._dial = partial(connector.connect, to, host_key_sha256=key, task_id=recorder.task_id)
        self._timeouts = timeouts
        self._logs = logs
        self._metrics = metrics
        self._cancel = cancel
        self._closing = closing
        self._commands = CommandStream(recorder.task_id)
        self._journal = SealedJournal(recorder)
        self._skips = skips
        self._answers = answers
        self._task_id = recorder.task_id
        uploaded = recorder.snapshot.phases.get(Phase.UPLOAD)
        self._may_run = uploaded is not None and uploaded.status is StepStatus.SUCCESS
        """Whether `start` may have been sent: then only the instance knows how the run does."""
        self._backoff: Backoff | None = None
        self._attempt = 0
        self._meter = Meter(INSTALL)
        self._turn = FOLDING.next()
        self._share = CpuShare()
        self._watch = CancelWatch(cancel)
        self._progress = ProgressWatch(spec.stall_seconds, spec.question_seconds)
        self._cancel_request: CancelRequest | None = None
        self._cancel_asked_at: float | None = None
        self._asked_here_at: float | None = None  # when the follower of this connection was told
        self._slow_cancel_reported = False

    def run(self) -> None:
        """Works until the install has ended, the service closes, or another service has taken the install over."""
        self._share.begin()
        with contextlib.suppress(LeaseLost):
            self._to_the_end()
            self._recorder.save_end(self._closing, KEEP_SECONDS)

    def _to_the_end(self) -> None:
        try:
            if self._may_run and not self._recorder.snapshot.waits_for(WORKER_GONE):  # an earlier service had begun it
                message = "The service was restarted and connects to the install again."
                self._recorder.emit(Interrupted(Problem("service_restarted", message), attempt=1, next_attempt_in=0))
            while self._goes_on():
                try:
                    self._work()
                except RemoteError as exc:
                    self._wait_after(exc)
                except StorageError as exc:  # a new host key could not be kept, on a full disk for example
                    self._wait_after(NotStored(exc.message, hint=exc.hint))
        except _Leaving:
            self._recorder.save()
        except AppError as exc:
            self._give_up(TaskState.CANCELLED if self._cancelling else TaskState.FAILED, _problem_of(exc))
        finally:
            self._never_unfinished()

    # -- connections, one after the other ---------------------------------------------------------------------------

    def _work(self) -> None:
        """One connection: to the end of the run, or to the end of the line."""
        self._attempt += 1
        if not self._may_run:
            self._backoff = self._backoff or Backoff(1.0, 10.0, self._spec.wait_seconds)  # the first try is in it
            self._recorder.emit(Connecting(self._attempt))
        with self._connect(self._cancel_event()) as host, self._watch.over(host):
            self._recorder.emit(Connected(str(host.endpoint)))
            client = RunnerClient(host, pack_runner(), self._timeouts)
            self._cancel_request = self._asked_here_at = None
            self._commands.begin_connection()
            self._journal.begin_connection()
            try:
                if self._attach(client, host):
                    self._follow(client)
            except (RunnerProtocolError, RunStalled):
                self._cancel_runner(client)
                raise

    def _connect(self, cancel: threading.Event) -> RemoteHost:
        first = None if self._may_run else self._backoff
        return self._dial(cancel=cancel, patience=first.patience if first else None, meter=self._meter)

    def _wait_after(self, exc: RemoteError) -> None:
        """Waits for the next try. Raises `exc` when there is none."""
        cancelled_now = not self._cancelling and self._cancel.is_set()
        if not self._goes_on():  # the end is known; how the connection broke after it does not matter
            return
        if self._meter.exhausted:
            raise TooMuchOutput from exc
        if self._watch.unheeded:
            self._give_up_unconfirmed()
            return
        if cancelled_now:  # the cancel itself aborted the connection: tell the instance at once
            return
        _log.info("task %s: %s: %s", self._task_id, exc.code, exc.message)
        if self._backoff is None:
            self._backoff = Backoff(0.5, 15.0, self._timeouts.reconnect)
        pause = self._backoff.next_pause() if is_worth_waiting(exc) else None
        if pause is None:
            self._fail(exc)
            return
        kind = Interrupted if self._may_run else WaitingForInstance
        self._recorder.emit(kind(_problem_of(exc), self._attempt + 1, round(pause, 1)))
        if self._may_run:
            self._metrics.interrupted()
        self._cancel.pause(pause, unless=self._cancel_event())

    def _fail(self, exc: RemoteError) -> None:
        if not self._cancelling:
            if not (self._may_run and exc.retried):
                raise exc
            seconds = f"{self._timeouts.reconnect:g} s"
            message = f"The connection was lost, and the instance was not reached again within {seconds}: {exc.message}"
            hint = "If the instance still exists, the install may go on there: retry when it is up."
            raise type(exc)(message, hint=hint, code=exc.code)
        message = f"Cancelled here, but the instance could not be reached. The install may go on there: {exc.message}"
        self._give_up(TaskState.CANCELLED, Problem(exc.code, message, exc.hint))

    # -- the runner -------------------------------------------------------------------------------------------------

    def _attach(self, client: RunnerClient, host: RemoteHost) -> bool:
        """Whether there is a run to follow; False when it was cancelled before it began."""
        with contextlib.nullcontext() if self._cancelling else self._cancel.aborting(host.close):
            client.ensure_uploaded()
        self._recorder.emit(Uploaded())
        if not self._goes_on() or self._cancelled_before_start(client):
            return False
        first = not self._may_run
        if first:
            self._may_run, self._backoff = True, None
        run = self._journal.start(client, self._spec.runner_request, first=first)
        if run.offset < self._recorder.offset:
            self._cancel_runner(client)  # this start has begun it anew, and nobody asked for that
            raise RunnerLost("The instance knows nothing of this install any more. It may be another machine now.")
        self._recorder.emit(Attached(self._recorder.offset, run.status))
        return True

    def _cancelled_before_start(self, client: RunnerClient) -> bool:
        """Ends a task that is cancelled and whose start has never arrived: it is not to arrive now."""
        if self._cancelling and client.status(self._task_id).status == "unknown":
            self._give_up(TaskState.CANCELLED, None)
        return self._recorder.ended

    def _follow(self, client: RunnerClient) -> None:
        with (
            client.follow(self._task_id, self._recorder.offset) as frames,
            self._cancel.aborting(frames.interrupt),
            woken_by(self._skips, self._answers, wake=frames.interrupt),
            receiving_logs(self._logs, self._task_id, frames, self._closing) as logs,
        ):
            self._progress.attached()
            while self._goes_on(client, frames):
                if self._rests(frames):
                    continue
                frame = logs.next(BUSY_SECONDS if self._cancelling or self._commands.is_busy else self._progress.every)
                if frame is not None:
                    self._apply(frame, client, logs)
                self._progress.look(self._recorder.snapshot)
            logs.receive_rest()

    def _rests(self, frames: Follow) -> bool:
        """Whether this thread has taken more than its share of the processor; waits a moment then."""
        rest = self._share.rest_seconds()
        if rest > 0.0:
            begun = time.monotonic()
            self._cancel_event().wait(min(rest, BUSY_SECONDS))
            frames.rested(time.monotonic() - begun)
        return rest > 0.0

    def _apply(self, frame: Frame, client: RunnerClient, logs: LogReceiver) -> None:
        self._backoff, self._attempt = None, 0  # it answered: the next lost connection has the whole time again
        if isinstance(frame, JournalLine):
            with self._turn.held():
                self._journal.apply(frame)
            self._watch.moved()
        elif isinstance(frame, CancelNoted):
            self._watch.noted()
        elif isinstance(frame, Ended):
            logs.all_came()
            self._conclude(frame.status, client)
        else:
            self._recorder.heartbeat()
            if isinstance(frame, LogPiece):
                logs.receive(frame)

    def _conclude(self, status: str, client: RunnerClient) -> None:
        """The follower has nothing more, and no terminal event came."""
        self._journal.warn()
        if status != "died":
            status = client.status(self._task_id).status
        if status != "died" and not (status == "ended" and self._journal.has_foreign):
            raise RunnerProtocolError(
                f"The record of the install on the instance (its journal) stops without an end (status {status})."
            )
        _log.warning("task %s: the runner died; sweeping", self._task_id)
        try:
            swept = client.sweep(self._task_id)
        except RunnerError as exc:
            raise RunnerLost(hint=f"What it left behind could not be removed: {exc.message}") from exc
        if swept.rebooted:
            raise RunnerLost("The instance was restarted before the install had finished.")
        raise JournalChanged if status == "ended" else RunnerLost

    def _cancel_runner(self, client: RunnerClient) -> None:
        """Cancels a run that may be alive, before giving up on it."""
        if self._may_run:
            with contextlib.suppress(RemoteError, RunnerError):  # what counts is the reason for giving up
                client.cancel(self._task_id)

    # -- cancelling -------------------------------------------------------------------------------------------------

    @property
    def _cancelling(self) -> bool:
        return self._recorder.snapshot.state is TaskState.CANCELLING

    def _cancel_event(self) -> threading.Event:
        """What ends a wait. A cancel that was noticed already must not: the instance has yet to be told."""
        return self._closing if self._cancelling else self._cancel

    def _goes_on(self, client: RunnerClient | None = None, frames: Follow | None = None) -> bool:
        """Whether the install has not ended, after what a cancel asks for. `frames`: of the follower, while there is
        one. Raises _Leaving when the service closes."""
        if self._recorder.ended:
            return False
        if self._closing.is_set():
            raise _Leaving
        if self._recorder.lost:
            raise LeaseLost
        if self._cancelling or self._cancel.is_set():
            self._apply_cancel(client, frames)
        else:
            send_answers(self._recorder, self._answers, self._commands, client)
            send_skips(self._recorder, self._skips, self._commands, client)
        return not self._recorder.ended

    def _apply_cancel(self, client: RunnerClient | None, frames: Follow | None) -> None:
        if not self._cancelling:
            if not self._may_run:
                self._give_up(TaskState.CANCELLED, None)
                return
            self._recorder.emit(CancelRequested())
            self._backoff = None
        if client is not None and frames is not None:
            self._request_cancel(client, frames)

    def _request_cancel(self, client: RunnerClient, frames: Follow) -> None:
        """Sends the runner the cancel, once for each connection. The end then comes with its journal."""
        now = time.monotonic()
        if self._cancel_asked_at is None:
            self._cancel_asked_at = now
            self._share.renew()
        if self._asked_here_at is None:
            self._asked_here_at = now
            frames.request_cancel()
        elif self._cancel_request is not None:
            if self._cancel_request.is_noted():
                self._watch.noted()
        elif now - self._asked_here_at > _COMMAND_AFTER_SECONDS and not self._watch.is_noted:
            self._cancel_request = client.request_cancel(self._task_id)
        if not self._slow_cancel_reported and now - self._cancel_asked_at > CANCEL_SECONDS:
            self._slow_cancel_reported = True
            text = f"The install has not ended within {CANCEL_SECONDS:g} s of the stop; Nodeferry waits on."
            self._recorder.emit(Warned("cancel_slow", text))

    def _give_up_unconfirmed(self) -> None:
        """Ends a task whose instance answers and does not stop the run. The cancel is sent once more, since a slow one
        may have started the run meanwhile."""
        text = _GOES_ON if self._watch.is_noted else _UNCONFIRMED
        self._give_up(TaskState.CANCELLED, Problem("cancel_unconfirmed", text))
        with contextlib.suppress(RemoteError, RunnerError), self._connect(self._closing) as host:
            host.end_by(time.monotonic() + _LAST_CANCEL_SECONDS)
            client = RunnerClient(host, pack_runner(), self._timeouts)
            client.ensure_uploaded()
            client.cancel(self._task_id)
            _log.info("task %s: the instance has the cancel after all", self._task_id)

    # -- ends -------------------------------------------------------------------------------------------------------

    def _give_up(self, state: TaskState, error: Problem | None) -> None:
        _log.info("task %s: given up as %s: %s", self._task_id, state, error)
        self._recorder.emit(GivenUp(state, error))

    def _never_unfinished(self) -> None:
        """Ends a task that a bug would leave unfinished, with an incident number to look for in the log."""
        if self._recorder.ended or self._recorder.lost or self._closing.is_set():
            return
        incident = uuid.uuid4().hex[:12]
        _log.error("task %s: ended by a bug, incident %s", self._task_id, incident, exc_info=True)
        message = f"Something went wrong inside Nodeferry (incident {incident})."
        hint = f"Please report it with the lines around {incident} in the service's log."
        self._give_up(TaskState.FAILED, Problem("internal_error", message, hint))


def _problem_of(exc: AppError) -> Problem:
    """Its texts may have come from the instance."""
    message, hint = clean_block(exc.message, budgets.LONG), clean_block(exc.hint, budgets.LONG)
    return Problem(clean_line(exc.code, budgets.SHORT), message, hint)
