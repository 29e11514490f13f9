"""A workflow as polls see it: its steps, and the live task list of each, made from the installs that do the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.workflow import Step, StepName, StepState, Workflow, WorkflowState
from app.protocol import counts, progress_json, questions, task_list
from app.protocol.reasons import find, for_people
from app.protocol.snapshot import Node, Question, Snapshot
from app.protocol.states import StepStatus

SnapshotOf = Callable[[str], Snapshot | None]
"""What is known of a task; None where it is not known any more."""


@dataclass(frozen=True, slots=True)
class TaskQuestion:
    """A question that the task of a workflow's step asks."""

    task_id: str
    question: Question


def task_question(workflow: Workflow, snapshot_of: SnapshotOf) -> TaskQuestion | None:
    """What the task of the workflow's current step asks and nobody has answered: then the workflow is `blocked` for
    everybody who looks, although its thread follows the task."""
    step = workflow.current
    if workflow.state is not WorkflowState.RUNNING or step is None:
        return None
    for task_id in task_ids(workflow, step):
        snapshot = snapshot_of(task_id)
        for question in questions.unanswered(snapshot) if snapshot else ():
            return TaskQuestion(task_id, question)
    return None


def task_ids(workflow: Workflow, step: Step) -> list[str]:
    """Of the tasks that do a step's work. Verifying is the last part of the install's own run."""
    verified = workflow.step(StepName.INSTALL) if step.name is StepName.VERIFY else None
    return [task_id for task_id in (verified.task_id if verified else None, step.task_id, step.plan_task_id) if task_id]


_LABELS = {
    StepName.TEST_SSH: "Test SSH connection",
    StepName.INSTALL: "Install custom nodes",
    StepName.VERIFY: "Verify dependencies",
    StepName.RESTART: "Restart ComfyUI",
    StepName.PROOF: task_list.PROOF,
}
_NOT_OF_INSTALL = (task_list.CUSTOM_NODES, task_list.VERIFY, task_list.RESTART)
"""Lines of an install's own list that the step "Install custom nodes" leaves out: it has a line for each pack, and the
others belong to other steps."""


def workflow_json(workflow: Workflow, snapshot_of: SnapshotOf, now: float) -> dict[str, Any]:
    """The state JSON at `now` (Unix seconds). Its `revision` grows with the workflow's and its installs' own."""
    asked = task_question(workflow, snapshot_of)
    steps = [_step(workflow, step, snapshot_of, now) for step in workflow.steps]
    if asked and workflow.current:
        steps[workflow.steps.index(workflow.current)]["status"] = StepState.BLOCKED.value
    of_steps = [task_id for step in workflow.steps for task_id in (step.task_id, step.plan_task_id) if task_id]
    known = [snapshot for snapshot in map(snapshot_of, of_steps) if snapshot]
    return {
        "success": True,
        "workflow_id": workflow.workflow_id,
        "state": (WorkflowState.BLOCKED if asked else workflow.state).value,
        "in_progress": not workflow.ended,
        "revision": workflow.revision + sum(snapshot.revision for snapshot in known),
        "created_at": progress_json.iso(workflow.created_at),
        "finished_at": None if workflow.finished_at is None else progress_json.iso(workflow.finished_at),
        "ssh_connection": workflow.request["ssh_connection"],
        "ui_home": workflow.request["ui_home"],
        "current_step": None if workflow.current is None or workflow.ended else workflow.current.name.value,
        "steps": steps,
        "question": _question_of_task(asked, snapshot_of) if asked else _question(workflow),
        "error": for_people(workflow.error) if workflow.error else None,
    }


def _question_of_task(asked: TaskQuestion, snapshot_of: SnapshotOf) -> dict[str, Any] | None:
    snapshot = snapshot_of(asked.task_id)
    if snapshot is None:
        return None
    row = progress_json.question_row(snapshot, asked.question)
    return {**row, "task_id": asked.task_id}


def _question(workflow: Workflow) -> dict[str, Any] | None:
    asked = workflow.question
    if asked is None:
        return None
    answers = [{"answer": code, "label": label} for code, label in asked.answers.items()]
    words = {"title": find(asked.code).title, "text": asked.text, "hint": asked.hint}
    return {"code": asked.code, **words, "answers": answers, "facts": dict(asked.facts)}


def _step(workflow: Workflow, step: Step, snapshot_of: SnapshotOf, now: float) -> dict[str, Any]:
    verified = workflow.step(StepName.INSTALL) if step.name is StepName.VERIFY else None
    task_id = verified.task_id if verified else step.task_id  # verifying is the last part of the install's own run
    install = snapshot_of(task_id) if task_id else None
    end = step.finished_at if step.finished_at is not None else now
    running = step.state is StepState.RUNNING
    return {
        "name": step.name.value,
        "label": _LABELS[step.name],
        "status": step.state.value,
        "message": step.message or (progress_json.message(install) if install and running else ""),
        "percent": _percent(step, install),
        "seconds": None if step.started_at is None else round(max(0.0, end - step.started_at), 1),
        "task_id": step.task_id,
        "plan_task_id": step.plan_task_id,
        "found": dict(step.found),
        "next_attempt_at": progress_json.iso(step.next_attempt_at) if running and step.next_attempt_at else None,
        "tasks": _TASKS[step.name](step, install),
        "error": for_people(step.error) if step.error else None,
    }


def _percent(step: Step, install: Snapshot | None) -> float | None:
    if step.state in (StepState.SUCCESS, StepState.PARTIAL):
        return 100.0
    return install.percent if install and step.name is not StepName.VERIFY else None


def _connecting(step: Step, _: Snapshot | None) -> list[dict[str, Any]]:
    return [_line(task_list.CONNECT, step.state.value, step.message or None)]


def _installing(_: Step, install: Snapshot | None) -> list[dict[str, Any]]:
    """Connect, the list of packs, the interpreter, then a line a pack with its requirements below it."""
    if install is None:
        return []
    before = [row for row in progress_json.steps(install, counts.count(install)) if row["name"] not in _NOT_OF_INSTALL]
    rows = progress_json.node_rows(install)
    return [*(_line(**row) for row in before), *map(_pack, install.nodes.values(), rows)]


def _verifying(step: Step, install: Snapshot | None) -> list[dict[str, Any]]:
    return [] if step.state is StepState.PENDING else _lines(install, task_list.VERIFY)


def _restarting(_: Step, install: Snapshot | None) -> list[dict[str, Any]]:
    return _lines(install, task_list.CONNECT, task_list.RESTART)


def _proving(step: Step, _: Snapshot | None) -> list[dict[str, Any]]:
    pending = step.state is StepState.PENDING
    return [] if pending else [_line(task_list.PROOF, step.state.value, step.message or None)]


def _lines(install: Snapshot | None, *names: str) -> list[dict[str, Any]]:
    rows = progress_json.steps(install, counts.count(install)) if install else []
    return [_line(**row) for row in rows if row["name"] in names]


def _pack(node: Node, row: Mapping[str, Any]) -> dict[str, Any]:
    parts = [("Python packages", node.requirements), ("install.py", node.script)]
    return {
        **_line(node.name, row["status"], node.error.message if node.error else node.state.value, row["seconds"]),
        "sub_tasks": [_line(label, status.value) for label, status in parts if status is not StepStatus.NONE],
    }


def _line(name: str, status: str, detail: str | None = None, seconds: float | None = None) -> dict[str, Any]:
    return {"name": name, "status": status, "detail": detail, "seconds": seconds, "sub_tasks": []}


_TASKS: Mapping[StepName, Callable[[Step, Snapshot | None], list[dict[str, Any]]]] = {
    StepName.TEST_SSH: _connecting,
    StepName.INSTALL: _installing,
    StepName.VERIFY: _verifying,
    StepName.RESTART: _restarting,
    StepName.PROOF: _proving,
}
