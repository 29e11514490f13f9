"""Tasks: list them, look at one, stop one."""

from __future__ import annotations

from flask import Blueprint, Response

from app.protocol.manager_snapshot import write_snapshot
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


@tasks.get("/tasks/<task_id>/lock")
def show_lock(task_id: str) -> Response:
    """What was installed, to install exactly that again; or the same as ComfyUI-Manager's snapshot."""
    known, asked = checked_task_id(task_id), query(schemas.LockQuery)
    lock = parts().installs.lock(known)
    if lock is None:
        hint = "A lock is told at the end of a run; runs that are cancelled or failed have none."
        raise schemas.NotFound("This task has no lock (yet).", hint=hint)
    if asked.format == "manager-snapshot":
        return answer(write_snapshot(lock))
    return answer({"success": True, "task_id": known, "lock": lock})


@tasks.post("/tasks/<task_id>/cancel")
def cancel_task(task_id: str) -> Response:
    """Stop a task, on the instance too."""
    known = checked_task_id(task_id)
    body(schemas.NoBody)
    state = parts().installs.cancel(known)
    payload = {"success": True, "task_id": known, "state": state.value, "message": "The install is being stopped"}
    return answer(payload, 202)


@tasks.post("/tasks/<task_id>/rollback")
def roll_back_task(task_id: str) -> Response:
    """Bring packages and packs back to what they were before an install; a task of its own."""
    known = checked_task_id(task_id)
    body(schemas.NoBody)
    accepted = parts().installs.rollback(known)
    payload = {
        "success": True,
        "task_id": accepted.task_id,
        "state": accepted.state.value,
        "rollback_of": known,
        "message": "Rollback started in background",
    }
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
