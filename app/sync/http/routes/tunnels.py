"""The ComfyUI of an instance on a port of this machine: open, look, close. The connection is made in the background."""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from app.sync.http import bodies
from app.sync.http.services import answer, body, checked_task_id, query, services
from app.sync.tunnels import Tunnel

tunnels = Blueprint("tunnels", __name__)


@tunnels.post("/tasks/<task_id>/open")
def open_tunnel(task_id: str) -> Response:
    """Open a port here that leads to the ComfyUI of this task's instance; opens no connection itself."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    return _answer(known, services().tunnels.open(known, _page_host()), 202)


@tunnels.get("/tasks/<task_id>/open")
def show_tunnel(task_id: str) -> Response:
    """How the tunnel stands."""
    known = checked_task_id(task_id)
    query(bodies.NoQuery)
    return _answer(known, services().tunnels.look(known))


@tunnels.delete("/tasks/<task_id>/open")
def close_tunnel(task_id: str) -> Response:
    """Close the tunnel."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    return _answer(known, services().tunnels.close(known))


def _answer(task_id: str, tunnel: Tunnel, status: int = 200) -> Response:
    return answer({"success": True, "task_id": task_id, **tunnel.to_json(_page_host())}, status, has_secret=True)


def _page_host() -> str:
    """The host name by which the browser reaches the service."""
    return re.sub(r":\d+$", "", request.host)
