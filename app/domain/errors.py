"""Errors that end a request or a run.

A node pack that fails is data (a state and a reason), never one of these.

AppError(message, hint, field)
├ InvalidRequest      InvalidAddress, InvalidManifest
├ TaskError           TaskNotFound, LogNotFound, WheelNotFound, TaskConflict, TaskNotCancellable, TooManyTasks
│                     ServiceClosing, NothingToRollBack, NothingToRetry, FleetNotFound, BuildNotSkippable
│                     IdempotencyConflict
│                     QuestionNotFound, QuestionGone, TooManyKeys, TooManyFleets, TooManyTunnels
├ WorkflowError       WorkflowNotFound, WorkflowConflict, StepTimedOut, TooManyWorkflows
├ RemoteError         retried: ConnectFailed, ConnectionLost, CommandTimedOut, TransferFailed, NotStored
│                     within wait_seconds only: AuthenticationFailed
│                     never retried: HostKeyMismatch, HostKeyUnknown, ExecNotSupported, TooManyHostKeys,
│                     DefaultListUnavailable
├ KeyNotMade
├ Unauthorized, TooManyAttempts
└ RunnerError         RunnerUnsupported, RunnerStartFailed, RunnerLost, RunStalled
                      RunnerProtocolError: TooMuchOutput

The domain knows codes; only ``app.sync.http.errors`` knows HTTP statuses.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.called_as import as_called
from app.domain.hostkeys import HostKey
from app.protocol import reasons
from app.protocol.probe_answer import ComfyUIHome
from app.protocol.redaction import masked


class AppError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, message: str = "", *, hint: str = "", field: str | None = None, code: str = "") -> None:
        """``message``: one sentence for the user (default: the class docstring); ``hint``: what to do (default: the
        code's in ``app.protocol.reasons``); ``field``: the request's field at fault, where there is one; ``code``: a
        finer code than the class's. Secrets in the texts are masked: they go into answers, records and logs."""
        self.message = masked(message) if message else (type(self).__doc__ or "").strip().split("\n")[0]
        self.field = field
        if code:
            self.code = code
        self.hint = as_called(masked(hint) or reasons.find(self.code).hint)
        super().__init__(self.message)

    def to_json(self) -> dict[str, str]:
        """The error as progress shows it: ``code``, ``message``, ``hint``."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InvalidRequest(AppError):
    """The request is not valid."""

    code = "invalid_request"
    wrong_entries: tuple[Mapping[str, str], ...] = ()
    """Where several entries of a list are wrong, each: its `field` and `message`."""


class InvalidAddress(InvalidRequest):
    """The SSH command could not be understood."""

    code = "invalid_address"


class InvalidManifest(InvalidRequest):
    """The list of node packs is not valid."""

    code = "invalid_manifest"


class TaskError(AppError):
    """The task cannot do that."""

    code = "task_error"


class TaskNotFound(TaskError):
    """There is no task with this task_id."""

    code = "task_not_found"


class LogNotFound(TaskError):
    """The task has no such log."""

    code = "log_not_found"


class WheelNotFound(TaskError):
    """The instance keeps no such wheel."""

    code = "wheel_not_found"


class TaskConflict(TaskError):
    """The task's state does not allow this."""

    code = "task_conflict"


class NotWaiting(TaskError):
    """The task does not wait for its instance."""

    code = "task_not_waiting"


class TaskNotCancellable(TaskError):
    """The task has already ended."""

    code = "task_not_cancellable"


class BuildNotSkippable(TaskError):
    """No build of this package is waiting or running."""

    code = "build_not_skippable"


class QuestionNotFound(TaskError):
    """The run has asked nothing of that id."""

    code = "question_not_found"


class QuestionGone(TaskError):
    """The question was answered otherwise, or is not waited for any more."""

    code = "question_gone"


class NothingToRollBack(TaskError):
    """That task changed nothing that could be rolled back."""

    code = "nothing_to_roll_back"


class NothingToRepair(TaskError):
    """The second round of that task found nothing that could be applied now."""

    code = "nothing_to_repair"


class NothingToRetry(TaskError):
    """Nothing in that task failed, so there is nothing to retry."""

    code = "nothing_to_retry"


class FleetNotFound(TaskError):
    """There is no fleet with this fleet_id."""

    code = "fleet_not_found"


class RunNotFound(TaskError):
    """There is no run with this id."""

    code = "run_not_found"


class InstanceNotFound(TaskError):
    """There is no remembered instance with this instance_id."""

    code = "instance_not_found"


class InstanceBusy(TaskError):
    """A run works on this instance now."""

    code = "instance_busy"


class TooManyTasks(TaskError):
    """The queue is full: too many installs are waiting."""

    code = "too_many_tasks"


class IdempotencyConflict(TaskError):
    """This idempotency key was used for another request."""

    code = "idempotency_conflict"


class TooManyKeys(TaskError):
    """Too many idempotency keys were used in the last 24 hours."""

    code = "too_many_keys"


class TooManyFleets(TaskError):
    """Too many fleets were started in the last 24 hours."""

    code = "too_many_fleets"


class TooManyTunnels(TaskError):
    """Too many tunnels to ComfyUIs are open."""

    code = "too_many_tunnels"


class ServiceClosing(TaskError):
    """The service is shutting down and accepts no more installs."""

    code = "service_closing"


class WorkflowError(AppError):
    """The workflow cannot do that."""

    code = "workflow_error"


class WorkflowNotFound(WorkflowError):
    """There is no workflow with this workflow_id."""

    code = "workflow_not_found"


class WorkflowConflict(WorkflowError):
    """The workflow's state does not allow this."""

    code = "workflow_conflict"


class TooManyWorkflows(WorkflowError):
    """Too many workflows have not ended."""

    code = "too_many_workflows"


class StepTimedOut(WorkflowError):
    """The step took longer than its time limit."""

    code = "step_timed_out"


class RemoteError(AppError):
    """Something went wrong on the instance."""

    code = "remote_error"

    @property
    def retried(self) -> bool:
        """Whether connecting again may help, without anybody doing anything."""
        return reasons.find(self.code).transient


class ConnectFailed(RemoteError):
    """The instance could not be reached."""

    code = "connect_failed"


class ConnectionLost(RemoteError):
    """The connection to the instance was lost."""

    code = "connection_lost"


class CommandTimedOut(RemoteError):
    """A command on the instance did not answer in time."""

    code = "command_timed_out"


class TransferFailed(RemoteError):
    """A file could not be uploaded to the instance."""

    code = "transfer_failed"


class AuthenticationFailed(RemoteError):
    """The instance accepts none of your SSH keys. `unusable`: keys that are there and could not be tried, and why."""

    code = "authentication_failed"
    unusable: tuple[str, ...] = ()
    is_final = False  # a new instance may not have the key yet; a key file that is not there never comes


class HostKeyMismatch(RemoteError):
    """The instance identifies itself with another host key than before."""

    code = "host_key_mismatch"
    presented: HostKey | None = None
    """The key that was shown, where the connection has come so far."""
    known: tuple[HostKey, ...] = ()
    """The keys that the address had before."""
    is_jump_host: bool = False
    """Whether it is not the instance's own key, but that of a jump host on the way to it."""


class HostKeyUnknown(HostKeyMismatch):
    """The instance is met for the first time, and its host key is to be trusted by a person first."""

    code = "host_key_unknown"


class TooManyHostKeys(RemoteError):
    """Nodeferry already trusts as many host keys as it can keep, and this one would be new."""

    code = "too_many_host_keys"


class NotStored(RemoteError):
    """The service's own disk does not keep what a new connection needs."""

    code = "not_stored"


class ExecNotSupported(RemoteError):
    """This SSH address gives a terminal only; Nodeferry cannot run commands through it."""

    code = "exec_not_supported"


class DefaultListUnavailable(RemoteError):
    """The recommended list could not be read."""

    code = "default_list_unavailable"


class KeyNotMade(AppError):
    """The SSH key could not be made."""

    code = "key_not_made"


class Unauthorized(AppError):
    """The request has no token, or a wrong one."""

    code = "unauthorized"


class TooManyAttempts(AppError):
    """Too many wrong tokens were tried."""

    code = "too_many_attempts"

    def __init__(self, *, retry_after: int) -> None:
        """``retry_after``: seconds until another one is looked at."""
        super().__init__(f"Too many wrong tokens were tried. Try again in {retry_after} s.")
        self.retry_after = retry_after


class RunnerError(AppError):
    """Nodeferry's runner could not do its work on the instance."""

    code = "runner_error"
    ui_homes: tuple[ComfyUIHome, ...] = ()
    """The ComfyUIs that there are, where one of them is to be named."""


class RunnerUnsupported(RunnerError):
    """Nodeferry's runner cannot run on this instance."""

    code = "runner_unsupported"


class RunnerStartFailed(RunnerError):
    """Nodeferry's runner did not start on the instance."""

    code = "runner_start_failed"


class RunnerProtocolError(RunnerError):
    """Nodeferry's runner on the instance gave an answer that could not be understood."""

    code = "runner_protocol_error"


class JournalChanged(RunnerProtocolError):
    """Something on the instance has changed the record of the install (its journal): its end is not known."""

    code = "journal_changed"


class RunnerLost(RunnerError):
    """The install was killed on the instance before it had finished."""

    code = "runner_lost"


class TooMuchOutput(RunnerProtocolError):
    """The instance sends more than a run of Nodeferry ever does."""

    code = "too_much_output"


class RunStalled(RunnerError):
    """Nothing has moved in the run for too long."""

    code = "run_stalled"
