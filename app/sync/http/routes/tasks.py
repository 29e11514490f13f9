"""Tasks: list them, look at one, stop one."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from app.domain.errors import InvalidRequest, TaskNotCancellable
from app.protocol.manager_snapshot import write_snapshot
from app.sync.capacity import Kind
from app.sync.http import bodies, errors, fleet_bodies
from app.sync.http.services import answer, body, checked_task_id, query, services
from app.sync.installs import follow_ups, reconnect
from app.sync.lock_files import LockFileForm, written

tasks = Blueprint("tasks", __name__)


@tasks.get("/tasks")
def list_tasks() -> Response:
    """The tasks, newest first."""
    asked = query(bodies.TasksQuery)
    state = asked.state.value if asked.state else None
    rows, cursor = services().installs.list(
        state=state, instance=asked.instance, limit=asked.limit, cursor=asked.cursor
    )
    return answer({"success": True, "tasks": rows, "next_cursor": cursor})


@tasks.get("/tasks/<task_id>")
def show_task(task_id: str) -> Response:
    """One task; `?wait=` holds the answer until it has ended, at most so many seconds."""
    known, asked = checked_task_id(task_id), query(bodies.TaskQuery)
    held = not asked.wait or _hold(known, asked.wait)
    response = answer({"success": True, **services().installs.task(known)})
    if not held:  # for those who would ask again at once
        response.headers["Retry-After"] = str(errors.RETRY_AFTER_SECONDS[503])
    return response


@tasks.get("/tasks/<task_id>/lock")
def show_lock(task_id: str) -> Response:
    """What was installed, to install exactly that again; or the same as another tool's file."""
    known, asked = checked_task_id(task_id), query(bodies.LockQuery)
    lock = services().installs.lock(known)
    if lock is None:
        hint = "A lock is told at the end of a run; runs that were stopped or failed have none."
        raise errors.NotFound("This task has no lock (yet).", hint=hint)
    if asked.format == "manager-snapshot":
        return answer(write_snapshot(lock))
    if asked.format != "lock":
        file = written(lock, LockFileForm(asked.format), known)
        return answer({"success": True, "task_id": known, **asdict(file)})
    return answer({"success": True, "task_id": known, "lock": lock})


@tasks.post("/tasks/prune")
def prune_tasks() -> Response:
    """Forget the installs that ended long ago."""
    days = body(bodies.PruneBody).older_than_days
    if days is None:
        days = services().settings.history_days
        if days <= 0:
            hint = "The setting history_days keeps everything; name the days."
            raise InvalidRequest("older_than_days is missing.", hint=hint, field="older_than_days")
    return answer({"success": True, "older_than_days": days, **asdict(services().retention.prune(days))})


@tasks.post("/tasks/<task_id>/cancel")
def cancel_task(task_id: str) -> Response:
    """Stop a task, on the instance too."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    try:
        state, message = services().installs.cancel(known), "The install is being stopped"
    except TaskNotCancellable:
        if not services().retries.call_off(known):
            raise
        state, message = services().installs.status(known).snapshot.state, "The automatic retry is called off"
    return answer({"success": True, "task_id": known, "state": state.value, "message": message}, 202)


@tasks.post("/tasks/<task_id>/reconnect")
def try_now(task_id: str) -> Response:
    """Try an instance that is not reached again at once."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    state = reconnect.try_now(services().installs, known)
    payload = {"success": True, "task_id": known, "state": state.value, "message": "The instance is tried again now"}
    return answer(payload, 202)


@tasks.post("/tasks/<task_id>/skip")
def skip_build(task_id: str) -> Response:
    """Skip the build of a package: the packs that need it fail, the others go on."""
    known = checked_task_id(task_id)
    build = services().installs.skip(known, body(bodies.SkipBody).package)
    payload = {"success": True, "task_id": known, "build": build, "message": "The build is being skipped"}
    return answer(payload, 202)


@tasks.post("/tasks/<task_id>/answer")
def answer_question(task_id: str) -> Response:
    """Answer a question of the run; the first answer holds."""
    known, asked = checked_task_id(task_id), body(bodies.AnswerBody)
    question = services().installs.answer(known, asked.id, asked.answer)
    return answer({"success": True, "task_id": known, "question": question, "message": "The answer was taken"}, 202)


@tasks.post("/tasks/<task_id>/retry")
def retry_task(task_id: str) -> Response:
    """Start a task with the packs that did not end well, or with some of them."""
    known = checked_task_id(task_id)
    asked = body(fleet_bodies.RetryBody)
    accepted = services().retries.retry(known, asked.nodes or (), asked.other_options())
    payload = {
        "success": True,
        "task_id": accepted.task_id,
        "state": accepted.state.value,
        "retry_of": known,
        "message": "Retry started in background",
    }
    return answer(payload, 202)


@tasks.post("/tasks/<task_id>/rollback")
def roll_back_task(task_id: str) -> Response:
    """Bring packages and packs back to what they were before an install; a task of its own."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    accepted = follow_ups.roll_back(services().installs, known)
    payload = {
        "success": True,
        "task_id": accepted.task_id,
        "state": accepted.state.value,
        "rollback_of": known,
        "message": "Rollback started in background",
    }
    return answer(payload, 202)


@tasks.post("/tasks/<task_id>/repair")
def repair_task(task_id: str) -> Response:
    """Apply what an install's second round found, so that more packs load; a task of its own."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    accepted = follow_ups.repair(services().installs, known)
    payload = {
        "success": True,
        "task_id": accepted.task_id,
        "state": accepted.state.value,
        "repair_of": known,
        "message": "Repair started in background",
    }
    return answer(payload, 202)


@tasks.post("/tasks/<task_id>/restart")
def restart_comfyui(task_id: str) -> Response:
    """Restart the ComfyUI that an install has put packs into; a task of its own."""
    known = checked_task_id(task_id)
    body(bodies.NoBody)
    accepted = follow_ups.restart(services().installs, known)
    payload = {
        "success": True,
        "task_id": accepted.task_id,
        "state": accepted.state.value,
        "restart_of": known,
        "message": "Restart started in background",
    }
    return answer(payload, 202)


def _hold(known: str, seconds: float) -> bool:
    """Wait for the end of a task; False where no place for that is free."""
    place = services().capacity.acquire(Kind.CHANGES)
    if place is None:
        return False
    try:
        services().installs.wait(known, seconds)
    finally:
        place.release()
    return True
