"""What can be done about an install that has ended: undo it, apply what its second round found, or restart the ComfyUI
that it has put packs into.

Each is a task of its own.
"""

from __future__ import annotations

from dataclasses import replace

from app.domain import asked_for
from app.domain.errors import NothingToRepair, NothingToRollBack, TaskConflict
from app.domain.request import InstallRequest, Request, RestartRequest
from app.domain.stored_request import read_request
from app.protocol.manifest import ManifestFault
from app.protocol.repairs import RepairState
from app.protocol.states import GOOD_NODE_STATES, TaskState
from app.sync.installs import runner_request
from app.sync.installs.new_installs import Accepted
from app.sync.installs.service import Installs


def roll_back(installs: Installs, task_id: str) -> Accepted:
    """Starts a task that brings packages and packs back to what they were before an install. Raises TaskNotFound,
    TaskConflict while that install is not over or when it changed nothing, TooManyTasks."""
    request, run_id = _request_of_ended(installs, task_id)
    nodes = installs.status(task_id).snapshot.nodes
    if not isinstance(request, InstallRequest) or request.options.plan_only or not nodes:
        raise NothingToRollBack
    return installs.start(runner_request.rollback_of(task_id, request), run_id=run_id)


def repair(installs: Installs, task_id: str) -> Accepted:
    """Starts an install of exactly what the second round of an install has found. Raises TaskNotFound, TaskConflict
    while that install is not over or when it found nothing, TooManyTasks."""
    request, run_id = _request_of_ended(installs, task_id)
    snapshot = installs.status(task_id).snapshot
    found = snapshot.repair
    is_found = found is not None and found.state is RepairState.FOUND
    if not isinstance(request, InstallRequest) or found is None or not is_found:
        raise NothingToRepair
    if snapshot.state is not TaskState.COMPLETED:
        raise NothingToRepair("That install did not come to its end, so what its second round found fits no more.")
    home, schemes = asked_for.home(snapshot.probe.get("ui_home"), request.ui_home), installs.allowed_git_schemes
    try:
        again = replace(request, ui_home=home)
        repaired = runner_request.repair_of(again, found, snapshot.nodes, schemes)
        return installs.start(repaired, run_id=run_id)
    except ManifestFault as fault:  # what an instance says is checked like what a user says
        raise NothingToRepair(f"What the second round found cannot be applied: {fault.message}") from fault


def restart(installs: Installs, task_id: str) -> Accepted:
    """Starts a task that restarts the ComfyUI of an install that has ended. Raises TaskNotFound, TaskConflict,
    TooManyTasks."""
    request, run_id = _request_of_ended(installs, task_id)
    return installs.start(restart_request(installs, task_id, request), run_id=run_id)


def restart_request(installs: Installs, task_id: str, request: Request) -> RestartRequest:
    """What restarts the ComfyUI of the task `task_id`, where its run found it, and looks for its good packs."""
    snapshot = installs.status(task_id).snapshot
    nodes = [node for node in snapshot.nodes.values() if node.state in GOOD_NODE_STATES]
    manifest = request.manifest if isinstance(request, InstallRequest) else None
    good = asked_for.folders(manifest, nodes, installs.allowed_git_schemes)
    home = asked_for.home(snapshot.probe.get("ui_home"), request.ui_home)
    return runner_request.restart_of(task_id, replace(request, ui_home=home), good)


def _request_of_ended(installs: Installs, task_id: str) -> tuple[Request, str | None]:
    """What was asked for, and the run that it is a part of."""
    record, status = installs.look(task_id)
    if not status.ended:
        raise TaskConflict("The install is still running.", hint="Cancel it first, or wait until it has ended.")
    try:
        return read_request(record.request), record.run_id
    except (KeyError, TypeError, ValueError) as exc:
        raise NothingToRollBack(
            "The task's record was written by another version of Nodeferry and cannot be read."
        ) from exc
