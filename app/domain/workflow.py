"""A workflow: an ordered list of steps against one instance, how far it is, what it asks a person. Pure values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app.domain.stored_request import read_request
from app.protocol.json_fields import read_record
from app.protocol.states import Word
from app.protocol.task_id import canonical


class StepName(Word):
    """What a workflow can do, in the order in which it can be done."""

    TEST_SSH = "test_ssh"
    INSTALL = "install_custom_nodes"
    VERIFY = "verify_dependencies"
    RESTART = "restart_comfyui"
    PROOF = "proof"


class StepState(Word):
    """How a step stands. `partial`: some node packs are good, some are not."""

    PENDING = "pending"
    RUNNING = "running"
    BLOCKED = "blocked"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"


class WorkflowState(Word):
    """How a workflow stands. `blocked`: it waits for a person's answer, and has no thread."""

    RUNNING = "running"
    BLOCKED = "blocked"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


ENDED_WORKFLOW = frozenset({WorkflowState.COMPLETED, WorkflowState.FAILED, WorkflowState.STOPPED})
ENDED_STEP = frozenset({StepState.SUCCESS, StepState.PARTIAL, StepState.FAILED, StepState.SKIPPED, StepState.STOPPED})
STOP = "stop"
"""The answer that ends a workflow, possible for every question."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person has to decide. `answers`: their codes and what they mean; `facts`: what it is about."""

    code: str
    text: str
    hint: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. Times are Unix seconds; `task_id`: of the install that does the work, where one does."""

    name: StepName
    state: StepState = StepState.PENDING
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    task_id: str | None = None
    plan_task_id: str | None = None
    """Of the install that only planned, where the plan is to be seen first."""
    error: Mapping[str, str] | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    """What the step has found out about the instance."""
    next_attempt_at: float | None = None
    """When the instance is tried again, where the step waits for it."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow as storage keeps it. `request`: an install's request as JSON; `review_plan` as docs/api.md says."""

    workflow_id: str
    created_at: float
    request: Mapping[str, Any]
    steps: tuple[Step, ...]
    review_plan: str = "never"
    deadline_seconds: float = 6 * 3600.0
    """For each step."""
    state: WorkflowState = WorkflowState.RUNNING
    question: Question | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    """What was answered, by the question's code."""
    error: Mapping[str, str] | None = None
    finished_at: float | None = None
    revision: int = 0
    idempotency_key: str | None = None
    driver: int = 0
    """Grows each time another process drives it, where several may. One with an older number changes nothing."""

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in ENDED_WORKFLOW

    @property
    def current(self) -> Step | None:
        """The first step that has not ended."""
        return next((step for step in self.steps if step.state not in ENDED_STEP), None)

    def step(self, name: StepName) -> Step | None:
        """The step of this name, where it has one."""
        return next((step for step in self.steps if step.name is name), None)

    def with_step(self, name: StepName, **changes: Any) -> Workflow:
        """The workflow with this step changed."""
        steps = tuple(replace(step, **changes) if step.name is name else step for step in self.steps)
        return replace(self, steps=steps)

    def to_json(self) -> dict[str, Any]:
        """As storage keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Workflow:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else. What steps have from an
        instance is cut and cleaned; the request stays as it is."""
        request = stored["request"]
        json.dumps(request, allow_nan=False)
        if not isinstance(read_request(request).ui_home, str | None):
            raise TypeError("ui_home is no text")
        found = replace(read_record(cls, {**stored, "request": {}}), request=request)
        if canonical(found.workflow_id) is None:
            raise ValueError("workflow_id is no UUID")
        steps = tuple(
            replace(step, task_id=canonical(step.task_id), plan_task_id=canonical(step.plan_task_id))
            for step in found.steps
        )
        return replace(found, steps=steps)
