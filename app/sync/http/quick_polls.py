"""The short way of a poll: what clients ask for all the time goes past the routes, and mostly needs no thread.

Only for a request that the server has let in (`admission`), and only where all is as usual. Everything else, each error
too, is answered by the routes, as it is where another server runs the application. Both ways give the same answer.
"""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from app.domain.errors import AppError
from app.sync.http import bodies, errors, json_body
from app.sync.http.admission import is_let_in
from app.sync.http.at_once import Ready
from app.sync.http.behind_proxy import Wsgi
from app.sync.http.compression import pays
from app.sync.http.services import Services
from app.sync.installs.progress_texts import Filled

PATH = "/ssh/install-custom-nodes/progress"
MOST_BODIES, MOST_BYTES = 4096, 512
"""How many requests are known again, and how long each is at most, with its type."""
_OF_THE_LOG = logging.getLogger("app.sync.http.services")


class _TextOf(Protocol):
    def __call__(self, task_id: str, since: int | None, *, patch: bool, line: str | None) -> Filled | None:
        """As `Installs.progress_text`; None where it is to be asked otherwise."""


class QuickPolls:
    """WSGI: answers polls, and passes on everything else. `headers`: what else every answer has."""

    def __init__(self, app: Wsgi, shared: Services, headers: Mapping[str, str]) -> None:
        self._app = app
        self._shared = shared
        every = {"Content-Type": errors.JSON_TYPE, **errors.HEADERS, "Vary": "Accept-Encoding", **headers}
        self._headers = list(every.items())
        self._read: dict[tuple[bytes, str], tuple[str, bodies.ProgressBody]] = {}
        """What bodies say, by them: a page, or curl in a loop, sends the same one again and again."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers one request."""
        ready = self._ready(environ, self._shared.installs.progress_text)
        if ready is None:
            return self._app(environ, start_response)
        start_response("200 OK", ready.headers)
        return [ready.body]

    def at_once(self, environ: dict[str, Any]) -> Ready | None:
        """The answer of a poll that takes no waiting: from memory, and soon made."""
        return self._ready(environ, self._shared.installs.progress_text_at_once)

    def _ready(self, environ: dict[str, Any], text_of: _TextOf) -> Ready | None:
        is_poll = environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "POST"
        is_logged = _OF_THE_LOG.isEnabledFor(logging.DEBUG)
        if not is_poll or is_logged or not is_let_in(environ, self._shared.access):
            return None
        started, given = time.perf_counter(), environ["wsgi.input"]
        try:
            task_id, asked = self._asked(given.read(), environ.get("CONTENT_TYPE", ""))
            found = text_of(task_id, asked.since, patch=asked.patch, line=asked.line)
        except AppError:
            found = None
        if found is None:
            given.seek(0)  # for whoever answers it
            return None
        body, more = _encoded(found, environ.get("HTTP_ACCEPT_ENCODING", ""))
        self._shared.metrics.answered(f"POST {PATH}", time.perf_counter() - started)
        return Ready([*self._headers, *more, ("Content-Length", str(len(body)))], body)

    def _asked(self, raw: bytes, content_type: str) -> tuple[str, bodies.ProgressBody]:
        known = self._read.get((raw, content_type))
        if known is None:
            json_body.check_content_type(content_type, empty=not raw)
            asked = bodies.read(bodies.ProgressBody, json_body.parse_object(raw) if raw else {})
            known = bodies.task_id_of(asked.task_id), asked
            if len(raw) + len(content_type) <= MOST_BYTES:
                if len(self._read) >= MOST_BODIES:
                    self._read.clear()
                self._read[raw, content_type] = known
        return known


def _encoded(found: Filled, accepted: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The body, and the headers that say how it is encoded."""
    if not accepted or not pays(len(found.sent), accepted):
        return found.sent, []
    return found.packed() or gzip.compress(found.sent, mtime=0), [("Content-Encoding", "gzip")]
