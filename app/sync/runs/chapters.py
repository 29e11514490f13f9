"""The chapters of a run: connecting, a question, a plan, the install, retries, restarts, putting back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.run_rows import Rows
from app.domain.run_summary import Kind, Purpose, Summary, Tone, question
from app.domain.workflow import ENDED_STEP, Step, StepName, StepState, Workflow, WorkflowState
from app.protocol import progress_json
from app.protocol.reasons import find
from app.sync.runs.parts import Task, Tasks
from app.words import word

_TONES: Mapping[StepState, tuple[Kind, Tone]] = {
    StepState.SUCCESS: (Kind.READY, Tone.GOOD),
    StepState.PARTIAL: (Kind.PARTIAL, Tone.WARN),
    StepState.FAILED: (Kind.FAILED, Tone.BAD),
    StepState.STOPPED: (Kind.STOPPED, Tone.IDLE),
    StepState.BLOCKED: (Kind.QUESTION, Tone.WARN),
}


_NAMES = {StepName.TEST_SSH: "connect", StepName.VERIFY: "check", StepName.PROOF: "proof"}
"""The chapters of steps that have no task of their own."""
_SAYS = {"connect": "summary.connecting", "check": "summary.verify", "proof": "summary.proof"}


def chapters(tasks: Tasks | None, workflow: Workflow | None) -> list[dict[str, Any]]:
    """Of a run, in the order in which they began."""
    rows = [*_of_workflow(workflow)] if workflow else []
    rows += [_of_task(task, number) for number, task in enumerate(tasks.all if tasks else ())]
    return sorted(rows, key=lambda row: str(row["created_at"]))


def chapter_name(task: Task, number: int) -> str:
    """What a task is in its run. `number`: in which place it stands."""
    names = {Purpose.PLAN: "plan", Purpose.ROLLBACK: "put_back", Purpose.RESTART: "restart"}
    return names.get(task.purpose) or ("retry" if _retried(task) or _is_repair(task, number) else "install")


def _retried(task: Task) -> bool:
    return bool(task.record.request.get("retry_of"))


def _is_repair(task: Task, number: int) -> bool:
    """An install of a run that repeats nothing and is not its first: what a second round has found."""
    of_workflow = str(task.record.idempotency_key or "").startswith("workflow ")
    return number > 0 and task.purpose is Purpose.INSTALL and not _retried(task) and not of_workflow


def _of_task(task: Task, number: int) -> dict[str, Any]:
    name = chapter_name(task, number)
    record, snapshot = task.record, task.status.snapshot
    numbers = Rows.of([snapshot]).counts
    return {
        "name": name,
        "label": word(f"summary.chapter_{'repair' if name == 'retry' and not _retried(task) else name}"),
        "task_id": task.task_id,
        "in_progress": not task.status.ended,
        "summary": task.summary.to_json(),
        "counts": numbers.to_json()["counts"],
        **_times(record.created_at, snapshot.finished_at),
    }


def _of_workflow(workflow: Workflow) -> Iterator[dict[str, Any]]:
    """What has no task of its own: connecting, the import check, the proof, and its own question."""
    for step in workflow.steps:
        if step.name in _NAMES and step.started_at is not None:
            yield _of_step(workflow, step, _NAMES[step.name])
    asked, current = workflow.question, workflow.current
    if asked is not None and workflow.state is WorkflowState.BLOCKED and current is not None:
        summary = question(find(asked.code).title)
        yield _row("question", summary, True, _times(current.started_at or workflow.created_at, None))


def _of_step(workflow: Workflow, step: Step, name: str) -> dict[str, Any]:
    kind, tone = _TONES.get(step.state, (Kind.CONNECTING if name == "connect" else Kind.WORKING, Tone.LIVE))
    said = step.error["message"] if step.error else step.message
    summary = Summary(kind, tone, said or word(_SAYS[name]))
    live = step.state not in ENDED_STEP and not workflow.ended
    return _row(name, summary, live, _times(step.started_at or workflow.created_at, step.finished_at))


def _row(name: str, summary: Summary, live: bool, times: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "label": word(f"summary.chapter_{name}"),
        "task_id": None,
        "in_progress": live,
        "summary": summary.to_json(),
        "counts": Rows().counts.to_json()["counts"],
        **times,
    }


def _times(began: float, ended: float | None) -> dict[str, Any]:
    """`seconds`: None while it goes on."""
    return {
        "created_at": progress_json.iso(began),
        "finished_at": None if ended is None else progress_json.iso(ended),
        "seconds": None if ended is None else round(max(0.0, ended - began), 1),
    }
