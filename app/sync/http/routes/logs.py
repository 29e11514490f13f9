"""What was printed while a task ran, from what is kept here; opens no connection."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from app.domain.errors import InvalidRequest
from app.protocol.redaction import masked
from app.protocol.terminal_text import many_lines
from app.sync.capacity import Kind
from app.sync.http import log_bodies
from app.sync.http.services import answer, checked_task_id, query, services
from app.sync.installs.logs import LogRange

logs = Blueprint("logs", __name__)


@logs.get("/tasks/<task_id>/log")
def show_log(task_id: str) -> Response:
    """A part of the run's log, or of one node pack's, from a byte offset on."""
    known, asked = checked_task_id(task_id), query(log_bodies.LogQuery)
    part = services().logs.read(known, LogRange(**asked.model_dump(exclude={"format"})))
    if asked.format == "text":
        headers = {
            "X-Log-Offset": str(part.next_offset),
            "X-Log-Size": str(part.size),
            "X-Log-Complete": str(part.complete).lower(),
        }
        text = masked(many_lines(part.text))  # curl writes it to a terminal; the JSON has every character
        return Response(text.encode("utf-8"), headers=headers, content_type="text/plain; charset=utf-8")
    return answer({"success": True, "task_id": known, **asdict(part), "logs": services().logs.listed(known)})


@logs.get("/tasks/<task_id>/log/search")
def search_logs(task_id: str) -> Response:
    """The lines of a run's logs that have a text."""
    known, asked = checked_task_id(task_id), query(log_bodies.LogSearchQuery)
    if not asked.q.strip():
        raise InvalidRequest("q is the text to look for, and it is empty.", field="q")
    with services().capacity.place(Kind.SEARCHES):
        found = services().logs.search(known, asked.q, log=asked.log, node=asked.node, limit=asked.limit)
    return answer({"success": True, "task_id": known, **found})


@logs.get("/tasks/<task_id>/audit")
def show_audit(task_id: str) -> Response:
    """Every command that ran on the instance for a task: when, what, where, as whom, why, and how it ended."""
    known, asked = checked_task_id(task_id), query(log_bodies.AuditQuery)
    found = services().logs.audit(known, offset=asked.offset, limit=asked.limit)
    return answer({"success": True, "task_id": known, **found})
