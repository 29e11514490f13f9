"""Workflows: one step after the other against one instance, with a live task list.

A workflow that works has a thread; one that waits for a person's answer has none. Every change is kept before anybody
sees it, and guarded by the revision it was made from: a stop, an answer and the thread never overwrite each other.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app.domain.errors import (
    AppError,
    IdempotencyConflict,
    ServiceClosing,
    TaskNotFound,
    WorkflowConflict,
    WorkflowNotFound,
)
from app.domain.limits import IDEMPOTENCY_SECONDS
from app.domain.workflow import (
    STOP,
    Step,
    StepState,
    Workflow,
    WorkflowState,
)
from app.protocol import progress_json
from app.protocol.snapshot import Snapshot
from app.storage.errors import StorageError
from app.storage.workflow_store import WorkflowExists, WorkflowStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs import reconnect
from app.sync.installs.service import Installs
from app.sync.workflows import moves, view
from app.sync.workflows.running import RunningWorkflow, SharedWork
from app.sync.workflows.steps import Blocked, Done, Leaving, StepRun, Steps, Stopped

MAX_LISTED = 200
_TRIES = 20
_STORAGE_PAUSE = 5.0
"""Seconds until a workflow whose record could not be kept is gone on with."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """The answer to a start. `deduplicated`: the idempotency key was used before, and this is that workflow."""

    workflow: Workflow
    deduplicated: bool = False


class WorkflowExecutor:
    """The workflows of one service. Any thread may call every method; StorageError when the database fails."""

    def __init__(
        self,
        *,
        store: WorkflowStore,
        installs: Installs,
        steps: Steps,
        background: BackgroundTaskManager,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now`: Unix seconds."""
        self._store = store
        self._installs = installs
        self._steps = steps
        self._background = background
        self._now = now
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, RunningWorkflow] = {}
        """The workflows that have a thread."""
        self._numbers = itertools.count(1)
        self._changed_meanwhile: set[str] = set()
        """Of these, the ones whose thread has to look once more before it ends: they were changed meanwhile."""
        self.when_news: Callable[[str], None] = lambda _workflow_id: None
        """Called with the workflow_id after a workflow has ended, or asks something."""
        self.shared: SharedWork | None = None
        """Where several processes share them; a new one is queued with its record then."""

    def start(self, workflow: Workflow, *, most: int = 0) -> Started:
        """Keeps a new workflow and starts it; nothing is connected yet when this returns. Raises IdempotencyConflict,
        and TooManyWorkflows where `most` (0: any number) have not ended."""
        workflow = replace(workflow, workflow_id=workflow.workflow_id or str(uuid.uuid4()), created_at=self._now())
        try:
            self._store.add(workflow, same_key_since=workflow.created_at - IDEMPOTENCY_SECONDS, most=most)
        except WorkflowExists as known:
            if not moves.asks_the_same(known.workflow, workflow):
                raise IdempotencyConflict(field="idempotency_key") from None
            return Started(known.workflow, deduplicated=True)
        if self.shared is None:
            self._run_thread(workflow.workflow_id)
        return Started(workflow)

    def state(self, workflow_id: str) -> dict[str, Any]:
        """The state JSON with its live task list. Raises WorkflowNotFound."""
        return view.workflow_json(self._get(workflow_id), self._snapshot_of, self._now())

    def list(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest workflows, without their task lists."""
        return [
            {
                "workflow_id": workflow.workflow_id,
                "created_at": progress_json.iso(workflow.created_at),
                "state": workflow.state.value,
                "ssh_connection": workflow.request["ssh_connection"],
                "task_ids": [step.task_id for step in workflow.steps if step.task_id],
            }
            for workflow in self._store.newest(min(limit, MAX_LISTED))
        ]

    def stop(self, workflow_id: str) -> WorkflowState:
        """Ends a workflow, and its install on the instance too. Raises WorkflowNotFound, WorkflowConflict."""
        workflow = self._get(workflow_id)
        if workflow.ended:
            raise WorkflowConflict("The workflow has already ended.")
        workflow = self._change(workflow_id, lambda now: moves.to_stop(now, self._now()))
        self.look_at([workflow_id])
        if workflow.state is WorkflowState.STOPPING:
            self._run_thread(workflow_id)  # whoever has its thread may be on the way out
        return workflow.state

    def try_now(self, workflow_id: str) -> WorkflowState:
        """Ends the wait of a step for the next try to reach the instance. Raises WorkflowNotFound, WorkflowConflict
        where no step waits for one; for a task of it what `reconnect.try_now` raises."""
        workflow = self._get(workflow_id)
        step = workflow.current
        for task_id in view.task_ids(workflow, step) if step else ():
            reconnect.try_now(self._installs, task_id)
            return workflow.state
        waits = step is not None and step.state is StepState.RUNNING and step.next_attempt_at is not None
        if not waits or (self.shared is None and workflow_id not in self._threads):
            raise WorkflowConflict("The workflow does not wait for its machine.")
        if not self.look_at([workflow_id]) and self.shared is not None:
            self.shared.named(workflow_id)
        return workflow.state

    def resume(self, workflow_id: str, answer: str, question_id: str | None = None) -> WorkflowState:
        """Answers the question of a blocked workflow; it goes on. `question_id`: of a question of its task, so that the
        answer does not meet the next one. Raises WorkflowNotFound, WorkflowConflict when it
        asks nothing, or something else; for a question of its task what `Installs.answer` raises."""
        workflow = self._get(workflow_id)
        question, of_task = workflow.question, view.task_question(workflow, self._snapshot_of)
        if question_id is not None and (of_task is None or of_task.question.asked.id != question_id):
            raise WorkflowConflict("The workflow does not wait for an answer to this question any more.", field="id")
        if of_task is not None and answer != STOP:
            self._installs.answer(of_task.task_id, of_task.question.asked.id, answer)
            return workflow.state
        if of_task is not None:
            return self.stop(workflow_id)
        if workflow.state is not WorkflowState.BLOCKED or question is None:
            raise WorkflowConflict(
                "The workflow is not waiting for an answer.", hint="GET /workflow/state says what it does."
            )
        if answer == STOP:
            return self.stop(workflow_id)
        if answer not in question.answers:
            known = ", ".join(question.answers)
            raise WorkflowConflict(
                f"{answer[:80]!r} is not a possible answer to this question.",
                hint=f"Possible answers: {known}.",
                field="answer",
            )
        self._steps.check_answer(workflow, question, answer)
        resumed = self._change(workflow_id, lambda now: moves.resumed(now, question, answer))
        self._run_thread(workflow_id)
        return resumed.state

    def resume_unfinished(self) -> int:
        """Takes up the workflows that an earlier service left working; how many. Blocked ones wait for their answer.
        None where a queue has them."""
        if self.shared is not None:
            return 0
        found = [workflow for workflow in self._store.unfinished() if workflow.state is not WorkflowState.BLOCKED]
        for workflow in found:
            self._run_thread(workflow.workflow_id)
        return len(found)

    def close(self, timeout: float = 2.0) -> None:
        """Lets go of every workflow within `timeout` seconds; `resume_unfinished` finds them."""
        self._closing.set()
        self._steps.close()
        with self._lock:
            left = list(self._threads.values())
        for each in left:
            each.leaving.set()
            each.stop.set()
        deadline = time.monotonic() + timeout
        for each in left:
            self._background.wait(each.thread, max(0.0, deadline - time.monotonic()))

    # -- where several processes share them -------------------------------------------------------------------------

    def drive(self, workflow_id: str) -> bool:
        """Works on a workflow in this thread, until it ends or asks something; whether nothing is left to do now."""
        try:
            mine = self._change(workflow_id, lambda now: replace(now, driver=now.driver + 1))
        except (WorkflowConflict, WorkflowNotFound):  # it has ended
            return True
        running = RunningWorkflow(workflow_id, driver=mine.driver)
        with self._lock:
            if self._closing.is_set() or workflow_id in self._threads:
                return False
            self._threads[workflow_id] = running
        self._run(workflow_id, running)
        workflow = self._store.get(workflow_id)
        return workflow is None or workflow.ended or workflow.state is WorkflowState.BLOCKED

    def let_go(self, workflow_id: str, lost: bool) -> None:  # noqa: ARG002 - either way it goes on elsewhere
        """Ends this process's work on a workflow; another one's goes on."""
        with self._lock:
            running = self._threads.get(workflow_id)
        if running is not None:
            running.leaving.set()
            running.stop.set()

    def look_at(self, workflow_ids: Collection[str] | None = None) -> bool:
        """Some of these (by default any) may have been stopped, or are not to wait any more; whether this process works
        on one of them. Raises StorageError."""
        with self._lock:
            these = self._threads.keys() if workflow_ids is None else self._threads.keys() & set(workflow_ids)
            running = {workflow_id: self._threads[workflow_id] for workflow_id in these}
        for workflow_id, each in running.items():
            workflow = self._store.get(workflow_id)
            if workflow is None or workflow.ended or workflow.state is WorkflowState.STOPPING:
                each.stop.set()
            elif workflow_ids is not None:
                each.stop.wake()
        return bool(running)

    # -- a workflow's thread ----------------------------------------------------------------------------------------

    def _run_thread(self, workflow_id: str) -> None:
        if self.shared is not None:
            self.shared.put(workflow_id)
            self.shared.named(workflow_id)
            return
        with self._lock:
            if self._closing.is_set():
                return
            if workflow_id in self._threads:
                self._changed_meanwhile.add(workflow_id)
                return
            # A number for each: the thread before may have let go of the workflow and not have ended.
            mine = RunningWorkflow(f"workflow-{workflow_id}-{next(self._numbers)}")
            self._threads[workflow_id] = mine
        try:
            self._background.start_task(mine.thread, self._run, workflow_id, mine)
        except RuntimeError:  # the system gives no more threads
            with self._lock:
                del self._threads[workflow_id]
            raise

    def _run(self, workflow_id: str, running: RunningWorkflow) -> None:
        released = False
        try:
            while True:
                self._supervise(workflow_id, running)
                if self._release(workflow_id):
                    released = True
                    return
        finally:
            if not released:  # a bug: the log has it
                self._broke(workflow_id)

    def _supervise(self, workflow_id: str, running: RunningWorkflow) -> None:
        try:
            self._work(workflow_id, running)
        except (Leaving, ServiceClosing, WorkflowConflict, WorkflowNotFound):
            return  # the service closes, or somebody else has decided: the record says how it stands
        except StorageError as exc:
            _log.error("workflow %s: its record cannot be kept: %s", workflow_id, exc.message)
            with self._lock:
                if not running.leaving.is_set():
                    self._changed_meanwhile.add(workflow_id)
            running.leaving.wait(_STORAGE_PAUSE)

    def _release(self, workflow_id: str) -> bool:
        """Whether the thread may end; then it is no longer the workflow's."""
        with self._lock:
            if workflow_id in self._changed_meanwhile and not self._closing.is_set():
                self._changed_meanwhile.discard(workflow_id)
                return False
            self._changed_meanwhile.discard(workflow_id)
            del self._threads[workflow_id]
            return True

    def _broke(self, workflow_id: str) -> None:
        error = {
            "code": "internal_error",
            "message": "Something went wrong inside Nodeferry.",
            "hint": "Look at its log.",
        }
        done = Done(StepState.FAILED, error["message"], error)
        with self._lock:
            self._changed_meanwhile.discard(workflow_id)
            del self._threads[workflow_id]
        with contextlib.suppress(AppError):
            self._change(
                workflow_id, lambda now: moves.step_ended(now, now.current, done, self._now()) if now.current else now
            )

    def _work(self, workflow_id: str, running: RunningWorkflow) -> None:
        change = partial(self._change, workflow_id, driver=running.driver)
        workflow = self._get(workflow_id)
        while not workflow.ended:
            step = workflow.current
            if workflow.state is WorkflowState.BLOCKED:
                return
            if workflow.state is WorkflowState.STOPPING:
                self._steps.abandon(workflow)
                workflow = change(lambda now: moves.stopped(now, self._now()))
            elif step is None:
                workflow = change(lambda now: moves.ended(now, self._now()))
            else:
                workflow = self._do(workflow_id, step, running)

    def _do(self, workflow_id: str, step: Step, running: RunningWorkflow) -> Workflow:
        """One step, to its end, its question or its stop."""
        begun = step.started_at or self._now()
        change = partial(self._change, workflow_id, driver=running.driver)
        workflow = change(lambda now: now.with_step(step.name, state=StepState.RUNNING, started_at=begun))
        _log.info("workflow %s: step %s", workflow_id, step.name)

        def note(**fields: Any) -> Workflow:
            return change(lambda now: now.with_step(step.name, **fields))

        run = StepRun(workflow, step.name, note, running.stop, running.leaving)
        try:
            done = self._steps.run(run)
        except Stopped:
            return change(lambda now: moves.stopped(now, self._now()))
        except Blocked as blocked:
            question = blocked.question
            return change(lambda now: moves.blocked(now, step, question))
        except (StorageError, ServiceClosing):
            raise  # the install, where there is one, goes on
        except AppError as error:
            done = Done(StepState.FAILED, error.message, error.to_json())
        return change(lambda now: moves.step_ended(now, step, done, self._now()))

    def _change(self, workflow_id: str, change: Callable[[Workflow], Workflow], driver: int | None = None) -> Workflow:
        """The workflow after `change`, kept; tried again on top of what somebody else has changed meanwhile. Raises
        WorkflowConflict where another than `driver` drives it by now."""
        for _ in range(_TRIES):
            before = self._get(workflow_id)
            after = change(before)
            if after == before:
                return before
            if before.ended:
                raise WorkflowConflict("The workflow has already ended.")
            if driver not in (None, before.driver):
                raise WorkflowConflict("Another process drives the workflow by now.")
            after = replace(after, revision=before.revision + 1)
            try:
                self._store.replace(after)
            except WorkflowConflict:
                continue
            if after.ended or (after.state is WorkflowState.BLOCKED and before.question != after.question):
                self.when_news(workflow_id)
            return after
        raise WorkflowConflict("Too many requests change this workflow at the same time.")

    def _get(self, workflow_id: str) -> Workflow:
        workflow = self._store.get(workflow_id)
        if workflow is None:
            raise WorkflowNotFound(field="workflow_id")
        return workflow

    def _snapshot_of(self, task_id: str) -> Snapshot | None:
        try:
            return self._installs.status(task_id).snapshot
        except TaskNotFound:
            return None
