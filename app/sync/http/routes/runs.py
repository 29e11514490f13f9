"""Runs: one by any of its ids, and all of them, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from app.domain.workflow_file_errors import RunHasNoWorkflow
from app.protocol.states import Word
from app.storage.run_store import RunFilter
from app.sync.capacity import Kind
from app.sync.http import bodies, fleet_bodies
from app.sync.http.etags import answer_if_changed
from app.sync.http.services import answer, body, note_task, query, services
from app.sync.runs.fleet_page import FleetPage
from app.sync.runs.runs import Asked

runs = Blueprint("runs", __name__)


@runs.get("/runs")
def list_runs() -> Response:
    """The runs, newest first: installs with all that follows them, workflows and fleets."""
    asked = query(bodies.RunsQuery)
    instance = services().remembered.name_of(asked.instance) if asked.instance else None
    wanted = RunFilter(asked.kind, instance, asked.q, _values(asked.state), _values(asked.tone))
    in_progress = None if asked.in_progress is None else asked.in_progress == "true"
    rows, cursor = services().runs.page(Asked(wanted, in_progress, asked.limit, asked.cursor))
    listed = [{**row, "workflow_files": services().proofs.names_of(row["run_id"])} for row in rows]
    return answer_if_changed({"success": True, "runs": listed, "next_cursor": cursor})


@runs.get("/runs/<run_id>")
def show_run(run_id: str) -> Response:
    """One run with its chapters and what can be done now, and a page of a fleet's; by the id of any task of it."""
    asked = query(fleet_bodies.FleetPageQuery)
    known = note_task(bodies.uuid_of(run_id, "run_id"))
    found = services().proofs.with_proof(services().runs.run(known, page_of(asked)))
    return answer_if_changed({"success": True, **found}, found | {"workflow": _without_clock(found["workflow"])})


@runs.post("/runs/<run_id>/proof")
def prove_run(run_id: str) -> Response:
    """Ask the run's ComfyUI now whether the workflow that the run was started with is ready there."""
    known = bodies.uuid_of(run_id, "run_id")
    body(bodies.NoBody)
    found = services().runs.run(known)
    task_id = found["rows_of"] or found["current"]
    with services().capacity.place(Kind.INSTANCES):
        result = services().proofs.prove_task(found["run_id"], task_id) if task_id else None
    if result is None:
        raise RunHasNoWorkflow("This run was not started with a workflow file, or it is not kept any more.")
    return answer({"success": True, "run_id": found["run_id"], "proof": services().proofs.of(found["run_id"])})


def page_of(asked: fleet_bodies.FleetPageQuery) -> FleetPage:
    """Which instances of a fleet a request wants to see."""
    return FleetPage(asked.limit, asked.offset, _values(asked.state), asked.q, asked.needing is not None)


def _without_clock(workflow: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A workflow without the seconds of the step that goes on."""
    if workflow is None or not workflow["in_progress"]:
        return workflow
    return {**workflow, "steps": [{**step, "seconds": None} for step in workflow["steps"]]}


def _values(words: tuple[Word, ...] | None) -> tuple[str, ...]:
    return tuple(each.value for each in words or ())
