"""A workflow as polls see it: its steps, and the live task list of each, made from the installs that do the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.domain.workflow import Step, StepName, StepState, Workflow
from app.protocol import progress_json
from app.protocol.reasons import find, for_people

Progress = Callable[[str], Mapping[str, Any] | None]
"""The progress JSON of a task; None where it is not known any more."""

_LABELS = {
    StepName.TEST_SSH: "Test SSH connection",
    StepName.INSTALL: "Install custom nodes",
    StepName.VERIFY: "Verify dependencies",
    StepName.RESTART: "Restart ComfyUI",
}
_CUSTOM_NODES, _VERIFY = "Custom nodes", "Verify Dependencies"
_PARTS = (("requirements_status", "Python packages"), ("script_status", "install.py"))


def workflow_json(workflow: Workflow, progress: Progress, now: float) -> dict[str, Any]:
    """The state JSON at `now` (Unix seconds). Its `revision` grows with the workflow's and its installs' own."""
    steps = [_step(workflow, step, progress, now) for step in workflow.steps]
    known = [progress(task_id) for step in workflow.steps for task_id in (step.task_id, step.plan_task_id) if task_id]
    return {
        "success": True,
        "workflow_id": workflow.workflow_id,
        "state": workflow.state.value,
        "in_progress": not workflow.ended,
        "revision": workflow.revision + sum(int(task["revision"]) for task in known if task),
        "created_at": progress_json.iso(workflow.created_at),
        "finished_at": None if workflow.finished_at is None else progress_json.iso(workflow.finished_at),
        "ssh_connection": workflow.request["ssh_connection"],
        "ui_home": workflow.request["ui_home"],
        "current_step": None if workflow.current is None or workflow.ended else workflow.current.name.value,
        "steps": steps,
        "question": _question(workflow),
        "error": for_people(workflow.error) if workflow.error else None,
    }


def _question(workflow: Workflow) -> dict[str, Any] | None:
    asked = workflow.question
    if asked is None:
        return None
    answers = [{"answer": code, "label": label} for code, label in asked.answers.items()]
    words = {"title": find(asked.code).title, "text": asked.text, "hint": asked.hint}
    return {"code": asked.code, **words, "answers": answers, "facts": dict(asked.facts)}


def _step(workflow: Workflow, step: Step, progress: Progress, now: float) -> dict[str, Any]:
    task = progress(_task_of(workflow, step) or "")
    end = step.finished_at if step.finished_at is not None else now
    return {
        "name": step.name.value,
        "label": _LABELS[step.name],
        "status": step.state.value,
        "message": step.message or (str(task["message"]) if task and step.state is StepState.RUNNING else ""),
        "percent": _percent(step, task),
        "seconds": None if step.started_at is None else round(max(0.0, end - step.started_at), 1),
        "task_id": step.task_id,
        "plan_task_id": step.plan_task_id,
        "found": dict(step.found),
        "tasks": _TASKS[step.name](step, task),
        "error": for_people(step.error) if step.error else None,
    }


def _task_of(workflow: Workflow, step: Step) -> str | None:
    """Verifying is the last part of the install's own run."""
    install = workflow.step(StepName.INSTALL) if step.name is StepName.VERIFY else None
    return install.task_id if install else step.task_id


def _percent(step: Step, task: Mapping[str, Any] | None) -> float | None:
    if step.state in (StepState.SUCCESS, StepState.PARTIAL):
        return 100.0
    return float(task["percent"]) if task and step.name is not StepName.VERIFY else None


def _connecting(step: Step, _task: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [_line("Connect", step.state.value, step.message or None)]


def _installing(_: Step, task: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Connect, the list of packs, the interpreter, then a line a pack with its requirements below it."""
    if task is None:
        return []
    before = [row for row in task["steps"] if row["name"] not in (_CUSTOM_NODES, _VERIFY, progress_json.RESTART)]
    return [*(_line(**row) for row in before), *(_pack(node) for node in task["nodes"])]


def _verifying(step: Step, task: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if task is None or step.state is StepState.PENDING:
        return []
    return [_line(**row) for row in task["steps"] if row["name"] == _VERIFY]


def _restarting(_: Step, task: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [_line(**row) for row in task["steps"] if row["name"] in ("Connect", progress_json.RESTART)] if task else []


def _pack(node: Mapping[str, Any]) -> dict[str, Any]:
    parts = [_line(label, node[name]) for name, label in _PARTS if node[name] != "none"]
    detail = node["error"]["message"] if node["error"] else node["state"]
    return {**_line(node["name"], node["status"], detail, node["seconds"]), "sub_tasks": parts}


def _line(name: str, status: str, detail: str | None = None, seconds: float | None = None) -> dict[str, Any]:
    return {"name": name, "status": status, "detail": detail, "seconds": seconds, "sub_tasks": []}


_TASKS: Mapping[StepName, Callable[[Step, Mapping[str, Any] | None], list[dict[str, Any]]]] = {
    StepName.TEST_SSH: _connecting,
    StepName.INSTALL: _installing,
    StepName.VERIFY: _verifying,
    StepName.RESTART: _restarting,
}
