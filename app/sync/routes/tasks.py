"""Tasks: list them, look at one, stop one."""

from __future__ import annotations

from flask import Blueprint, Response

from app.sync import schemas
from app.sync.routes.edge import answer, body, checked_task_id, parts, query

tasks = Blueprint("tasks", __name__)


@tasks.get("/tasks")
def list_tasks() -> Response:
    """The tasks, newest first."""
    asked = query(schemas.TasksQuery)
    state = asked.state.value if asked.state else None
    rows, cursor = parts().installs.list(state=state, instance=asked.instance, limit=asked.limit, cursor=asked.cursor)
    return answer({"success": True, "tasks": rows, "next_cursor": cursor})


@tasks.get("/tasks/<task_id>")
def show_task(task_id: str) -> Response:
    """One task; `?wait=` holds the answer until it has ended, at most so many seconds."""
    known, asked = checked_task_id(task_id), query(schemas.TaskQuery)
    if asked.wait:
        _hold(known, asked.wait)
    return answer({"success": True, **parts().installs.task(known)})


@tasks.post("/tasks/<task_id>/cancel")
def cancel_task(task_id: str) -> Response:
    """Stop a task, on the instance too."""
    known = checked_task_id(task_id)
    body(schemas.NoBody)
    state = parts().installs.cancel(known)
    payload = {"success": True, "task_id": known, "state": state.value, "message": "The install is being stopped"}
    return answer(payload, 202)


def _hold(known: str, seconds: float) -> None:
    """Wait for the end of a task, if a place for that is free."""
    held = parts().held
    if not held.acquire(blocking=False):
        return
    try:
        parts().installs.wait(known, seconds)
    finally:
        held.release()
