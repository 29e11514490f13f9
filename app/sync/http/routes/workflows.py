"""Workflows: start one, look at it, answer its question, stop it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response

from app.domain.errors import InvalidRequest
from app.domain.stored_request import store_request
from app.domain.workflow import Step, StepName, Workflow
from app.protocol.options import OPTIONS
from app.sync.http import bodies
from app.sync.http.services import answer, body, has_workflow, install_values, keep_workflow, query, services

workflows = Blueprint("workflows", __name__)


@workflows.post("/workflow/start")
def start_workflow() -> Response:
    """Start a workflow in the background; opens no connection."""
    asked = bodies.read(bodies.WorkflowBody, install_values())
    steps = _steps(asked.steps, has_workflow=has_workflow())
    workflow = replace(_workflow(asked, steps), workflow_id=str(uuid.uuid4()))
    keep_workflow(workflow.workflow_id)
    started = services().workflows.start(workflow, most=services().settings.max_workflows)
    payload = {"success": True, "workflow_id": started.workflow.workflow_id, "state": started.workflow.state.value}
    message = "This workflow was started before" if started.deduplicated else "Workflow started in background"
    return answer({**payload, "message": message}, 202)


@workflows.get("/workflow/state")
def show_workflow() -> Response:
    """How a workflow stands, with its live task list; opens no connection."""
    asked = query(bodies.WorkflowQuery)
    return answer(services().workflows.state(_checked_id(asked.workflow_id)))


@workflows.get("/workflows")
def list_workflows() -> Response:
    """The newest workflows."""
    asked = query(bodies.WorkflowsQuery)
    return answer({"success": True, "workflows": services().workflows.list(asked.limit)})


@workflows.post("/workflow/stop")
def stop_workflow() -> Response:
    """Stop a workflow, and its install on the instance too."""
    known = _checked_id(body(bodies.WorkflowIdBody).workflow_id)
    state = services().workflows.stop(known)
    return answer(
        {"success": True, "workflow_id": known, "state": state.value, "message": "The workflow is being stopped"}, 202
    )


@workflows.post("/workflow/reconnect")
def try_workflow_now() -> Response:
    """Try a machine that a workflow does not reach again at once."""
    known = _checked_id(body(bodies.WorkflowIdBody).workflow_id)
    state = services().workflows.try_now(known)
    message = "The machine is tried again now"
    return answer({"success": True, "workflow_id": known, "state": state.value, "message": message}, 202)


@workflows.post("/workflow/resume")
def resume_workflow() -> Response:
    """Answer the question of a blocked workflow."""
    asked = body(bodies.ResumeBody)
    known = _checked_id(asked.workflow_id)
    state = services().workflows.resume(known, asked.answer, asked.id)
    message = "The answer was taken"
    return answer({"success": True, "workflow_id": known, "state": state.value, "message": message}, 202)


def _checked_id(text: object) -> str:
    return bodies.uuid_of(text, "workflow_id")


def _steps(names: list[StepName], *, has_workflow: bool) -> tuple[Step, ...]:
    """In the order in which they can be done, each once; a restart for a workflow file is followed by its proof. Raises
    InvalidRequest."""
    if StepName.PROOF in names and not has_workflow:
        text = "proof checks the workflow file that the manifest names, and it names none."
        raise InvalidRequest(text, field="steps")
    if has_workflow and StepName.RESTART in names and StepName.PROOF not in names:
        names = [*names, StepName.PROOF]
    if not names:
        raise InvalidRequest("steps names no step.", field="steps")
    if len(set(names)) != len(names):
        raise InvalidRequest("A step comes twice.", field="steps")
    if names != sorted(names, key=list(StepName).index):
        order = ", ".join(name.value for name in StepName)
        raise InvalidRequest(
            "The steps are not in an order that can be done.", hint=f"The order: {order}.", field="steps"
        )
    if StepName.VERIFY in names and StepName.INSTALL not in names:
        text = "verify_dependencies looks at what install_custom_nodes has installed, and that step is not there."
        raise InvalidRequest(text, field="steps")
    return tuple(Step(name) for name in names)


def _workflow(asked: bodies.WorkflowBody, steps: tuple[Step, ...]) -> Workflow:
    """The install's own checks make its request; whether it verifies and restarts is the steps' business."""
    named = {step.name for step in steps}
    raw: dict[str, Any] = asked.model_dump(
        include={"ssh_connection", "ui_home", "venv_path", "manifest", "idempotency_key"}
    )
    options = asked.options.model_dump() if asked.options else {}
    for option in filter(None, map(OPTIONS.get, asked.options.model_fields_set if asked.options else ())):
        if option.step:
            text = f"options.{option.name} is not for workflows: name the step {option.step} or leave it out."
            raise InvalidRequest(text, field=f"options.{option.name}")
    options |= {"verify": StepName.VERIFY in named, "restart": False}
    request = bodies.install_request({**raw, "options": options}, services().settings)
    key, stored = request.idempotency_key, store_request(replace(request, idempotency_key=None))
    workflow = Workflow("", 0.0, stored, steps, asked.review_plan, asked.deadline_seconds)
    return replace(workflow, idempotency_key=key)
