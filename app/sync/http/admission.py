"""What is looked at from the head of a request alone, before any of its body is read: who asks, then how much comes.

The server asks here as soon as a head has come, and each request is looked at once more when it reaches the routes.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from werkzeug.datastructures import EnvironHeaders

from app.domain.access import MADE
from app.domain.errors import AppError
from app.protocol import amounts
from app.protocol.redaction import masked
from app.remote.gateway.access import OPENING
from app.sync.access import Access
from app.sync.capacity import ServiceBusy
from app.sync.http import errors, guards, json_body
from app.sync.http.behind_proxy import Proxies, Via, via_of

MAX_BODY_BYTES = json_body.MAX_BYTES
MAX_SMALL_BODY_BYTES = 64 * 1024
MAX_FILE_BYTES = 512 * 1024 * 1024
"""Of a workflow file, which may be a video."""
_LISTS = frozenset(
    {
        "/ssh/install-custom-nodes",
        "/fleet/install-custom-nodes",
        "/workflow/start",
        "/manifests/check",
        "/workflow-proofs",
    }
)
"""The routes that are sent lists of node packs; so are those that end in `_RETRY`. Every other body is small."""
_RETRY = "/retry"
_FILES = "/workflow-files"

LOOKED_SECONDS = 1.0
"""For so long what was found still holds: a token may be revoked meanwhile."""
_LOOKED_AT = "nodeferry.looked-at"
"""No header of a request can have this name in the environment."""
_SECRET = re.compile(rf"(?<={OPENING})[^/]+|{MADE}[\w-]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request, as the browser sent it. `length`: of its body, None where it is not known before."""

    method: str
    path: str
    headers: Mapping[str, str]
    via: Via
    length: int | None


Check = Callable[[Head, Access], AppError | None]


def _let_in(head: Head, access: Access) -> AppError | None:
    return guards.refusal(head.method, head.path, head.headers, access, head.via)


def _fits(head: Head, _access: Access) -> AppError | None:
    return None if (head.length or 0) <= body_limit(head.path) else too_large(head.path)


CHECKS: Sequence[Check] = (_let_in, _fits)
"""In the order in which they are made: nobody who is not let in learns more."""


def refusal(head: Head, access: Access) -> AppError | None:
    """Why this request is refused; None when it is not."""
    found = (check(head, access) for check in CHECKS)
    return next((error for error in found if error is not None), None)


def head_of(environ: Mapping[str, Any]) -> Head:
    """The head of a request, from its environment behind `Proxies.as_sent`."""
    text = str(environ.get("CONTENT_LENGTH") or "")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    headers = dict(iter(EnvironHeaders(dict(environ))))  # as a mapping it would look each of them up again
    return Head(str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"]), headers, via_of(environ), length)


def body_limit(path: str) -> int:
    """How many bytes a request's body may have."""
    if path == _FILES:
        return MAX_FILE_BYTES
    return MAX_BODY_BYTES if path in _LISTS or path.endswith(_RETRY) else MAX_SMALL_BODY_BYTES


def too_large(path: str) -> AppError:
    """What is said of a body that is larger than that."""
    return errors.BodyTooLarge(f"The request's body is larger than {amounts.size(body_limit(path))}.")


def logged_path(path: str) -> str:
    """A request's path as the log has it: without the secret of an address that somebody has opened at a wrong port."""
    return quote(masked(_SECRET.sub("***", path))[:300])


def wants_page(method: str, accept: str) -> bool:
    """Whether a browser goes to an address, by a request's method and its header Accept."""
    return method == "GET" and "text/html" in accept


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the server is told of a request. Without `answer` its body may be read, up to `body_limit` bytes; beyond
    them it is answered with `too_large`. `environ`: its environment behind `Proxies.as_sent`."""

    answer: errors.Answer | None
    environ: dict[str, Any]

    @property
    def body_limit(self) -> int:
        """Bytes of its body."""
        return body_limit(self.environ["PATH_INFO"])

    @property
    def too_large(self) -> errors.Answer:
        """What is answered to more of them."""
        return errors.answer_of(too_large(self.environ["PATH_INFO"]))


class Admission:
    """The server's side of it: it has a request's environment, and no application has looked at it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._proxies = Proxies(access.settings)

    def look(self, environ: Mapping[str, Any]) -> Admitted:
        """At a head whose body has not been read."""
        seen = dict(environ)
        self._proxies.as_sent(seen)
        head = head_of(seen)
        error = refusal(head, self._access)
        page = wants_page(head.method, head.headers.get("Accept", ""))
        answer = None if error is None else _logged(head.method, head.path, errors.answer_of(error, as_page=page), seen)
        return Admitted(answer, seen)

    def is_proxy(self, address: str) -> bool:
        """Whether this is the address of a trusted proxy."""
        return self._proxies.trust(address)


def note_look(environ: dict[str, Any], at: float) -> None:
    """The server has let this request in, at this second of the monotonic clock."""
    environ[_LOOKED_AT] = at


def is_let_in(environ: Mapping[str, Any], access: Access) -> bool:
    """Whether the server has let this request in, and would do so again."""
    at: float | None = environ.get(_LOOKED_AT)
    if at is None:
        return False
    return time.monotonic() - at < LOOKED_SECONDS or refusal(head_of(environ), access) is None


def server_answer(status: int, detail: str = "") -> errors.Answer:
    """What the server itself answers with this status. `detail`: what is wrong with the request, in a few words."""
    kinds: Mapping[int, type[AppError]] = {
        400: errors.MalformedRequest,
        408: errors.RequestTooSlow,
        413: errors.BodyTooLarge,
        429: errors.TooManyConnections,
        431: errors.HeadTooLarge,
        501: errors.EncodingNotSupported,
        503: ServiceBusy,
        505: errors.VersionNotSupported,
    }
    kind = kinds.get(status, errors.InternalError)
    message = f"This is not a valid HTTP request: {detail}." if status == 400 and detail else ""
    return errors.answer_of(kind(message))


def _logged(method: str, path: str, answer: errors.Answer, environ: Mapping[str, Any]) -> errors.Answer:
    """Notes it as the routes note each request."""
    text = "request method=%s path=%s status=%d ms=0.0 task_id=- client=%s"
    _log.info(text, quote(method[:20]), logged_path(path), answer.status, environ.get("REMOTE_ADDR") or "-")
    return answer
