"""The wheels that a task's instance keeps: list them, fetch one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Response

from app.sync.capacity import Kind, Place
from app.sync.http import bodies
from app.sync.http.errors import TooManyStreams
from app.sync.http.services import answer, checked_task_id, query, services

wheels = Blueprint("wheels", __name__)
_BUSY = "Wheels are being fetched by as many others as may at once."


@wheels.get("/tasks/<task_id>/wheels")
def list_wheels(task_id: str) -> Response:
    """The wheels that the task's instance keeps of what was built there; connects to it."""
    known = checked_task_id(task_id)
    query(bodies.NoQuery)
    with _place():
        found = services().wheels.listed(known)
    return answer({"success": True, "task_id": known, "wheels": [wheel.to_json() for wheel in found]})


@wheels.get("/tasks/<task_id>/wheels/content")
def send_wheel(task_id: str) -> Response:
    """One of them, from a byte offset on; connects to the instance."""
    known, asked = checked_task_id(task_id), query(bodies.WheelQuery)
    place = _acquire()
    try:
        content = services().wheels.content(known, asked.name, asked.offset)
    except BaseException:
        place.release()
        raise
    response = Response(content.pieces, content_type="application/octet-stream")
    response.call_on_close(place.release)
    response.headers["Content-Length"] = str(content.wheel.bytes - content.offset)
    response.headers["Content-Disposition"] = f'attachment; filename="{content.wheel.name}"'
    response.headers["X-Wheel-SHA256"] = content.wheel.sha256
    return response


@contextmanager
def _place() -> Iterator[None]:
    """One of the few connections at once. Raises TooManyStreams."""
    place = _acquire()
    try:
        yield
    finally:
        place.release()


def _acquire() -> Place:
    place = services().capacity.acquire(Kind.WHEELS)
    if place is None:
        raise TooManyStreams(_BUSY)
    return place
