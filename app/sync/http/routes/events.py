"""The progress of a task as it happens, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream holds a thread of the server: there are few places, each stream ends after a minute, and a browser then comes
back by itself with the revision that it has seen last. Who gets no place polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from flask import Blueprint, Response, request

from app.domain.errors import AppError
from app.protocol.redaction import masked
from app.protocol.terminal_text import json_text
from app.sync.capacity import Kind, Place
from app.sync.http import bodies
from app.sync.http.errors import TooManyStreams
from app.sync.http.services import checked_task_id, query, sender, services
from app.sync.installs.service import Installs

STREAM_SECONDS = 60.0
HEARTBEAT_SECONDS = 10.0
EVERY_SECONDS = 0.2
"""At most five events a second."""
MAX_STREAM_BYTES = 8 * 1024 * 1024
"""What a reader that does not read may make the server buffer."""
_LOOK_SECONDS = 1.0

events = Blueprint("events", __name__)


@events.get("/tasks/<task_id>/events")
def stream_events(task_id: str) -> Response:
    """An event `progress` for each revision, the newest at once; the stream ends with the task."""
    known = checked_task_id(task_id)
    query(bodies.NoQuery)
    last = request.headers.get("Last-Event-ID", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) <= 18 else None
    first = services().installs.progress(known, seen)
    if first["completed"] and first.get("unchanged"):
        return Response(status=204)  # tells a browser that it need not come back
    still_welcome = partial(services().access.is_valid, sender())
    place = services().capacity.acquire(Kind.CHANGES)
    if place is None:
        raise TooManyStreams
    stream = _Stream(services().installs, known, seen, place, still_welcome)
    response = Response(stream, content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # asks nginx to pass events on as they come
    response.headers["Cache-Control"] = "no-store, no-transform"  # a proxy that compressed them would hold them back
    return response


class _Stream:
    """The body of one answer. The server calls `close` however the stream ends, also before it began."""

    def __init__(
        self, installs: Installs, task_id: str, seen: int | None, place: Place, still_welcome: Callable[[], bool]
    ) -> None:
        self._place = place
        self._lines = _lines(installs, task_id, seen, still_welcome)

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._lines
        finally:
            self.close()

    def close(self) -> None:
        """Gives the place back."""
        self._place.release()


def _lines(installs: Installs, task_id: str, seen: int | None, still_welcome: Callable[[], bool]) -> Iterator[bytes]:
    began = written = time.monotonic()
    sent, last_sent = 0, None
    yield b": the progress of a task\n\n"
    while not installs.closing.is_set() and sent < MAX_STREAM_BYTES:
        now = time.monotonic()
        if now - began > STREAM_SECONDS:
            return
        try:
            if not still_welcome():  # its token was revoked
                return
            progress = installs.progress(task_id, seen)
        except AppError:  # the task was forgotten, or the database fails: the next request is told
            return
        # what makes an event: the revision, and what changes without it
        state = progress["revision"], progress.get("queue"), progress.get("retry")
        new = None if progress.get("unchanged") else state
        if new is not None and new != last_sent:
            seen, written, last_sent = int(progress["revision"]), now, new
            text = masked(json_text(progress, separators=(",", ":")))
            event = f"event: progress\nid: {seen}\ndata: {text}\n\n".encode()
            sent += len(event)
            yield event
        elif now - written >= HEARTBEAT_SECONDS:
            written = now
            yield b": still here\n\n"
        if progress["completed"] or installs.closing.wait(EVERY_SECONDS):
            return
        _wait(installs, task_id, -1 if seen is None else seen)


def _wait(installs: Installs, task_id: str, seen: int) -> None:
    """Until there is something new, or for a moment: it may happen in another service on the database."""
    try:
        installs.wait_for_change(task_id, seen, _LOOK_SECONDS)
    except AppError:
        return
