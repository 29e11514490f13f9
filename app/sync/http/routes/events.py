"""The progress of a task as it happens, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream holds a thread of the server: there are few places, each stream ends after a minute, and a browser then comes
back by itself with the revision that it has seen last. Who gets no place polls.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from app.domain.errors import AppError
from app.protocol.redaction import masked
from app.protocol.terminal_text import json_text
from app.sync.capacity import Kind, Place
from app.sync.http import bodies
from app.sync.http.compression import chosen
from app.sync.http.errors import TooManyStreams
from app.sync.http.services import checked_task_id, query, sender, services
from app.sync.installs.patches import has_only_figures
from app.sync.installs.service import Installs

STREAM_SECONDS = 60.0
HEARTBEAT_SECONDS = 10.0
FIGURES_SECONDS = 1.0
"""How often patches come while only figures move: rates and bytes of downloads."""
NEWS_SECONDS = 4.0
"""A reader of patches is told so often when the runner was last heard."""
EVERY_SECONDS = 0.2
"""At most five events a second."""
PATCH_SECONDS = 0.1
"""At most ten patches a second."""
MAX_STREAM_BYTES = 8 * 1024 * 1024
"""What a reader that does not read may make the server buffer."""
_LOOK_SECONDS = 1.0
_GZIP = 31
"""zlib's word for gzip with the largest window."""

events = Blueprint("events", __name__)


@events.get("/tasks/<task_id>/events")
def stream_events(task_id: str) -> Response:
    """An event `progress` for each revision, the newest at once; the stream ends with the task."""
    known = checked_task_id(task_id)
    asked = query(bodies.EventsQuery)
    last = request.headers.get("Last-Event-ID", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) <= 18 else None
    source = _Source(services().installs, known, asked.since if asked.since is not None else seen, asked)
    first = source.news()
    if first["completed"] and first.get("unchanged"):
        return Response(status=204)  # tells a browser that it need not come back
    still_welcome = partial(services().access.is_valid, sender())
    place = services().capacity.acquire(Kind.CHANGES)
    if place is None:
        raise TooManyStreams
    packed = asked.patch and chosen(request.headers.get("Accept-Encoding", ""), ("gzip",)) is not None
    response = Response(_Stream(source, place, still_welcome, packed=packed), content_type="text/event-stream")
    if asked.patch:
        response.vary.add("Accept-Encoding")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["X-Accel-Buffering"] = "no"  # asks nginx to pass events on as they come
    response.headers["Cache-Control"] = "no-store, no-transform"  # a proxy that compressed them would hold them back
    return response


class _Source:
    """The news of one task for one reader. `seen`: the revision that the reader has."""

    def __init__(self, installs: Installs, task_id: str, seen: int | None, asked: bodies.EventsQuery) -> None:
        self.installs = installs
        self.seen = seen
        self.patch = asked.patch
        self._task_id = task_id
        self._line = asked.line
        self._sent: object = None

    def news(self) -> dict[str, Any]:
        """As a poll is answered. Raises AppError when the task was forgotten, or the database fails."""
        return self.installs.progress(self._task_id, self.seen, patch=self.patch, line=self._line)

    def is_new(self, progress: Mapping[str, Any], since: float) -> bool:
        """Whether this makes an event: by the revision, and what changes without it. A patch with nothing but figures
        makes one when the last was `FIGURES_SECONDS` ago; `since`: how long ago it was."""
        if progress.get("unchanged"):
            return False
        if "patch" in progress and since < FIGURES_SECONDS and has_only_figures(progress["patch"]):
            return False
        fields = progress["patch"]["set"] if "patch" in progress else progress
        return (progress["revision"], fields.get("queue"), fields.get("retry")) != self._sent

    def event(self, progress: Mapping[str, Any]) -> bytes:
        """The event, after which the reader has this."""
        if not progress.get("unchanged"):
            fields = progress["patch"]["set"] if "patch" in progress else progress
            self._sent = progress["revision"], fields.get("queue"), fields.get("retry")
        self.seen, self._line = int(progress["revision"]), progress.get("line")
        text = masked(json_text(progress, separators=(",", ":")))
        return f"event: progress\nid: {self.seen}\ndata: {text}\n\n".encode()

    def wait(self) -> None:
        """Until there is something new, or for a moment: it may happen in another service on the database."""
        with contextlib.suppress(AppError):
            self.installs.wait_for_change(self._task_id, -1 if self.seen is None else self.seen, _LOOK_SECONDS)


class _Stream:
    """The body of one answer. The server calls `close` however the stream ends, also before it began."""

    def __init__(self, source: _Source, place: Place, still_welcome: Callable[[], bool], *, packed: bool) -> None:
        self._place = place
        lines = _lines(source, still_welcome)
        self._lines = _packed(lines) if packed else lines

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._lines
        finally:
            self.close()

    def close(self) -> None:
        """Gives the place back."""
        self._place.release()


def _packed(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Compressed, each event whole as soon as it is there: what one patch names the next one names again."""
    packer = zlib.compressobj(wbits=_GZIP)
    for line in lines:
        yield packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _lines(source: _Source, still_welcome: Callable[[], bool]) -> Iterator[bytes]:
    began = written = time.monotonic()
    closing, sent = source.installs.closing, 0
    quiet = min(NEWS_SECONDS, HEARTBEAT_SECONDS) if source.patch else HEARTBEAT_SECONDS
    yield b": the progress of a task\n\n"
    while not closing.is_set() and sent < MAX_STREAM_BYTES:
        now = time.monotonic()
        if now - began > STREAM_SECONDS:
            return
        try:
            if not still_welcome():  # its token was revoked
                return
            progress = source.news()
        except AppError:  # the next request is told
            return
        since = now - written
        is_new, is_due = source.is_new(progress, since), since >= quiet
        if is_new or is_due:
            written = now
            line = source.event(progress) if is_new or source.patch else b": still here\n\n"
            sent += len(line)
            yield line
        if progress["completed"] or closing.wait(PATCH_SECONDS if source.patch else EVERY_SECONDS):
            return
        source.wait()
