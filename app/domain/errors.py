"""Errors that end a request or a run.

A node pack that fails is data (a state and a reason), never one of these.

AppError(message, hint, field)
├ InvalidRequest      InvalidAddress, InvalidManifest
├ TaskError           TaskNotFound, LogNotFound, TaskConflict, TaskNotCancellable, TooManyTasks, ServiceClosing
│                     NothingToRollBack, NothingToRetry, FleetNotFound
├ WorkflowError       WorkflowNotFound, WorkflowConflict, StepTimedOut
├ RemoteError         retried: ConnectFailed, ConnectionLost, CommandTimedOut, TransferFailed
│                     within wait_seconds only: AuthenticationFailed
│                     never retried: HostKeyMismatch, ExecNotSupported
└ RunnerError         RunnerUnsupported, RunnerStartFailed, RunnerProtocolError, RunnerLost

The domain knows codes; only ``app.sync.http.errors`` knows HTTP statuses.
"""

from __future__ import annotations


class AppError(Exception):
    """Something went wrong."""

    code = "error"
    default_hint = ""

    def __init__(self, message: str = "", *, hint: str = "", field: str | None = None, code: str = "") -> None:
        """``message``: one sentence for the user (default: the class docstring); ``hint``: what to do;
        ``field``: the request's field at fault, where there is one; ``code``: a finer code than the class's."""
        self.message = message or (type(self).__doc__ or "").strip().split("\n")[0]
        self.hint = hint or self.default_hint
        self.field = field
        if code:
            self.code = code
        super().__init__(self.message)

    def to_json(self) -> dict[str, str]:
        """The error as progress shows it: ``code``, ``message``, ``hint``."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InvalidRequest(AppError):
    """The request is not valid."""

    code = "invalid_request"


class InvalidAddress(InvalidRequest):
    """The SSH address could not be understood."""

    code = "invalid_address"
    default_hint = "Paste the SSH command of the instance, for example: ssh -p 12345 root@ssh6.vast.ai"


class InvalidManifest(InvalidRequest):
    """The manifest is not valid."""

    code = "invalid_manifest"


class TaskError(AppError):
    """The task cannot do that."""

    code = "task_error"


class TaskNotFound(TaskError):
    """There is no task with this task_id."""

    code = "task_not_found"
    default_hint = "GET /tasks lists the tasks that are known."


class LogNotFound(TaskError):
    """The task has no such log."""

    code = "log_not_found"
    default_hint = "The field logs of GET /tasks/ID/log lists those that are there."


class TaskConflict(TaskError):
    """The task's state does not allow this."""

    code = "task_conflict"


class TaskNotCancellable(TaskError):
    """The task has already ended."""

    code = "task_not_cancellable"


class NothingToRollBack(TaskError):
    """That task changed nothing that could be undone."""

    code = "nothing_to_roll_back"


class NothingToRetry(TaskError):
    """Everything in that task went well."""

    code = "nothing_to_retry"


class FleetNotFound(TaskError):
    """There is no fleet with this fleet_id."""

    code = "fleet_not_found"
    default_hint = "GET /fleet lists the fleets that are known."


class TooManyTasks(TaskError):
    """The queue is full."""

    code = "too_many_tasks"
    default_hint = "Wait until a running install has ended, then start again."


class ServiceClosing(TaskError):
    """The service is closing and takes no more installs."""

    code = "service_closing"
    default_hint = "Send it again when the service has been started again."


class WorkflowError(AppError):
    """The workflow cannot do that."""

    code = "workflow_error"


class WorkflowNotFound(WorkflowError):
    """There is no workflow with this workflow_id."""

    code = "workflow_not_found"
    default_hint = "GET /workflows lists those that are known."


class WorkflowConflict(WorkflowError):
    """The workflow's state does not allow this."""

    code = "workflow_conflict"


class StepTimedOut(WorkflowError):
    """The step has not ended in time."""

    code = "step_timed_out"
    default_hint = "What it had started on the instance was stopped. Look at its log, then start again."


class RemoteError(AppError):
    """The instance could not be worked with."""

    code = "remote_error"
    retried = False


class ConnectFailed(RemoteError):
    """The instance could not be reached."""

    code = "connect_failed"
    retried = True
    default_hint = "Check that the instance is running and that host and port are the ones it shows now."


class ConnectionLost(RemoteError):
    """The connection to the instance was lost."""

    code = "connection_lost"
    retried = True
    default_hint = "The runner goes on without the connection; Nodeferry attaches again by itself."


class CommandTimedOut(RemoteError):
    """A command on the instance did not answer in time."""

    code = "command_timed_out"
    retried = True


class TransferFailed(RemoteError):
    """A file could not be put on the instance."""

    code = "transfer_failed"
    retried = True
    default_hint = "Check that the instance's disk has room and that its home folder can be written."


class AuthenticationFailed(RemoteError):
    """The instance accepts none of the keys that were tried."""

    code = "authentication_failed"
    default_hint = "Add your public key to the instance (or to your account there) and start again."


class HostKeyMismatch(RemoteError):
    """The instance shows another host key than before."""

    code = "host_key_mismatch"
    default_hint = (
        "Rented machines reuse addresses: if this is a new machine, forget the old key "
        "(nodeferry hostkeys forget HOST:PORT) and start again; if it is not, somebody may be in between."
    )


class ExecNotSupported(RemoteError):
    """This SSH server only offers a terminal; commands cannot be run through it."""

    code = "exec_not_supported"
    default_hint = 'On RunPod use "SSH over exposed TCP" instead of the ssh.runpod.io proxy.'


class RunnerError(AppError):
    """The runner could not do its work on the instance."""

    code = "runner_error"


class RunnerUnsupported(RunnerError):
    """The instance cannot run the runner."""

    code = "runner_unsupported"
    default_hint = "The instance needs Linux and a python3 of version 3.9 or newer."


class RunnerStartFailed(RunnerError):
    """The runner did not start on the instance."""

    code = "runner_start_failed"


class RunnerProtocolError(RunnerError):
    """The runner answered with something that is not its protocol."""

    code = "runner_protocol_error"


class RunnerLost(RunnerError):
    """The runner on the instance was killed before it had finished."""

    code = "runner_lost"
    default_hint = (
        "What it left was ended and removed. Retry the task (POST /tasks/TASK_ID/retry, or tasks retry TASK_ID): "
        "packs that are there are kept."
    )
