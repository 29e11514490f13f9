"""The ComfyUI of an instance on a port of this machine: open, look, close. The connection is made in the background."""

from __future__ import annotations

from flask import Blueprint, Response

from app.sync.http import bodies
from app.sync.http.services import answer, body, checked_task_id, services

tunnels = Blueprint("tunnels", __name__)


@tunnels.post("/tasks/<task_id>/open")
def open_tunnel(task_id: str) -> Response:
    """Open a port here that leads to the ComfyUI of this task's instance; opens no connection itself."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    return answer({"success": True, "task_id": known, **services().tunnels.open(known).to_json()}, 202)


@tunnels.get("/tasks/<task_id>/open")
def show_tunnel(task_id: str) -> Response:
    """How the tunnel stands."""
    known = checked_task_id(task_id)
    return answer({"success": True, "task_id": known, **services().tunnels.look(known).to_json()})


@tunnels.delete("/tasks/<task_id>/open")
def close_tunnel(task_id: str) -> Response:
    """Close the tunnel."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    return answer({"success": True, "task_id": known, **services().tunnels.close(known).to_json()})
