"""Threads with a name that can be asked about: every install's run is one of them.

A record is kept for two hours after its task has ended (the newest 2,000 at most), in memory only; what must outlive the
service is storage's.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypedDict

from app.protocol.states import TaskState

RETENTION_SECONDS = 2 * 60 * 60
MAX_ENDED = 2_000
"""How many ended tasks are remembered at most: those that ended first are forgotten first."""
CANCEL_PARAMETER = "cancel_event"

_log = logging.getLogger(__name__)


class TaskCancelled(Exception):
    """The target stopped because its cancel event is set."""


class TaskStatus(TypedDict):
    """What is known of a task. Times are Unix seconds; `state` is running, completed, failed or cancelled."""

    task_id: str
    state: str
    started_at: float
    completed_at: float | None
    error: str | None
    thread_alive: bool


@dataclass(slots=True, eq=False)
class _Task:
    """One run. The lock of the BackgroundTaskManager guards what changes."""

    task_id: str
    started_at: float
    state: TaskState = TaskState.RUNNING
    completed_at: float | None = None
    error: str | None = None
    thread: threading.Thread | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def status(self) -> TaskStatus:
        return TaskStatus(
            task_id=self.task_id,
            state=self.state.value,
            started_at=self.started_at,
            completed_at=self.completed_at,
            error=self.error,
            thread_alive=self.thread is not None and self.thread.is_alive(),
        )


class BackgroundTaskManager:
    """Runs callables in daemon threads and remembers how they ended. Every method may be called from any thread."""

    def __init__(self, *, retention_seconds: float = RETENTION_SECONDS, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns Unix seconds."""
        self.retention_seconds = retention_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._tasks: dict[str, _Task] = {}

    def start_task(self, task_id: str, target_func: Callable[..., object], *args: Any, **kwargs: Any) -> str:
        """Run `target_func(*args, **kwargs)` in a thread of its own and return `task_id` at once.

        A target with a parameter `cancel_event` gets the task's cancel event there, unless the caller passes one.
        Raises ValueError when a task with this id is running; an id whose task has ended may be used again.
        """
        task = _Task(task_id, self._clock())
        if _wants_cancel_event(target_func, args, kwargs):
            kwargs[CANCEL_PARAMETER] = task.cancel
        task.thread = threading.Thread(
            target=self._run, args=(task, target_func, args, kwargs), name=f"task-{task_id}", daemon=True
        )
        with self._lock:
            self._drop_expired(task.started_at)
            known = self._tasks.get(task_id)
            if known is not None and known.state is TaskState.RUNNING:
                raise ValueError(f"Task {task_id} is already running.")
            self._tasks[task_id] = task
        try:
            task.thread.start()
        except RuntimeError as exc:  # no more threads: nobody may wait for a run that will never be
            self._finish(task, str(exc))
            raise
        return task_id

    def get_status(self, task_id: str) -> TaskStatus | None:
        """How the task stands, as a copy; None when it is not known (never started, or dropped since)."""
        with self._lock:
            task = self._tasks.get(task_id)
            return None if task is None else task.status()

    def get_all_tasks(self) -> dict[str, TaskStatus]:
        """Every known task by its id, as copies."""
        with self._lock:
            return {task_id: task.status() for task_id, task in self._tasks.items()}

    def is_task_running(self, task_id: str) -> bool:
        """Whether the task has been started and has not ended."""
        with self._lock:
            task = self._tasks.get(task_id)
            return task is not None and task.state is TaskState.RUNNING

    def cancel(self, task_id: str) -> bool:
        """Set the task's cancel event: True, also when it was set before; False when the task is unknown or has ended.

        The task ends as `cancelled` when its target then returns or raises TaskCancelled.
        """
        with self._lock:
            task = self._tasks.get(task_id)
            if task is None or task.state is not TaskState.RUNNING:
                return False
            task.cancel.set()
            return True

    def cancel_event(self, task_id: str) -> threading.Event | None:
        """The event that `cancel` sets, for waiting on it; None when the task is not known."""
        with self._lock:
            task = self._tasks.get(task_id)
            return None if task is None else task.cancel

    def wait(self, task_id: str, timeout: float) -> bool:
        """Wait up to `timeout` seconds: True when the task has ended; False when it has not, or is not known.

        When it has ended, what is left of the time is given to its thread to be gone too. From the task's own thread
        this can only wait in vain.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            task = self._tasks.get(task_id)
        if task is None or task.thread is None or not task.ended.wait(timeout):
            return False
        if task.thread.ident is not None:  # else it could not be started
            task.thread.join(max(0.0, deadline - time.monotonic()))
        return True

    def cleanup_task(self, task_id: str) -> bool:
        """Forget an ended task: True; False when it is running or unknown."""
        with self._lock:
            task = self._tasks.get(task_id)
            if task is None or task.state is TaskState.RUNNING:
                return False
            del self._tasks[task_id]
            return True

    def cleanup_expired(self, now: float | None = None) -> int:
        """Forget the tasks that ended two hours or more before `now` (Unix seconds, default: the clock); how many.

        Every start does this too, so that no thread is needed for it.
        """
        moment = self._clock() if now is None else now
        with self._lock:
            return self._drop_expired(moment)

    def _drop_expired(self, now: float) -> int:
        ended = {task_id: task.completed_at for task_id, task in self._tasks.items() if task.completed_at is not None}
        expired = [task_id for task_id, at in ended.items() if now - at >= self.retention_seconds]
        left = sorted(ended.keys() - expired, key=ended.__getitem__)
        expired += left[: max(0, len(left) - MAX_ENDED)]
        for task_id in expired:
            del self._tasks[task_id]
        return len(expired)

    def _run(
        self, task: _Task, target_func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        error: str | None = "The target raised an error that cannot be shown."
        try:
            target_func(*args, **kwargs)
            error = None
        # The top of a task's thread: whatever the target raises, SystemExit and KeyboardInterrupt included, is how the
        # task ended. Let through, it would end nothing but this thread, and the task would be `running` for ever.
        except BaseException as exc:  # noqa: BLE001
            if isinstance(exc, TaskCancelled) and task.cancel.is_set():
                error = None
            else:
                _log.error("task %s failed", task.task_id, exc_info=True)
                error = str(exc) or type(exc).__name__
        finally:  # also when `str(exc)` raised
            self._finish(task, error)

    def _finish(self, task: _Task, error: str | None) -> None:
        completed_at = self._clock()
        with self._lock:
            # Under the lock: a cancel that has answered True must not be followed by `completed`.
            ended_well = TaskState.CANCELLED if task.cancel.is_set() else TaskState.COMPLETED
            task.state = ended_well if error is None else TaskState.FAILED
            task.error = error
            task.completed_at = completed_at
        task.ended.set()


def _wants_cancel_event(target_func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the target has a parameter `cancel_event` that can be passed by name and that the caller left open."""
    try:
        signature = inspect.signature(target_func)
        given = signature.bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):  # a built-in without a signature, or arguments that the call itself will refuse
        return False
    parameter = signature.parameters.get(CANCEL_PARAMETER)
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return parameter is not None and parameter.kind in by_name and CANCEL_PARAMETER not in given


_shared_lock = threading.Lock()
_shared: list[BackgroundTaskManager] = []


def get_task_manager() -> BackgroundTaskManager:
    """The process's one BackgroundTaskManager, made at the first call."""
    with _shared_lock:
        if not _shared:
            _shared.append(BackgroundTaskManager())
        return _shared[0]
