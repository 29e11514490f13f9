"""Waitress' parser and its answers to errors, with our checks between a request's head and its body.

Waitress reads a body of up to a gigabyte into a file before anybody has looked at the head, and answers in plain text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask
from waitress.utilities import BadRequest, Error

from app.sync.http.admission import Admitted, note_look, server_answer
from app.sync.http.at_once import Ready
from app.sync.http.errors import Answer

NO_LIMIT = 1 << 62
"""For waitress' own limit of bodies, which would come before ours."""
SPARE_CHUNK_BYTES = 16 * 1024
"""What chunks of any size may cost; beyond that a quarter of the body."""
_ENCODING = re.compile(rb"^transfer-encoding[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_HOST = re.compile(rb"^host:[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_FIRST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]+) ([!\"$-~]+) HTTP/([0-9]\.[0-9])")
"""Strictly as in RFC 9112, 3: a proxy may see another method, target or version in anything else."""
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(?:[/?].*)?", re.IGNORECASE)
_ALONE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_FOLDED = re.compile(rb"(?:\A|\r\n)[ \t]")
_BARE = re.compile(rb"(?<!\r)\n")


class Admits(Protocol):
    """What decides about requests: `app.sync.http.admission.Admission`."""

    def look(self, environ: Mapping[str, Any]) -> Admitted:
        """At a head whose body has not been read."""

    def is_proxy(self, address: str) -> bool:
        """Whether this is the address of a trusted proxy."""


Look = Callable[["Request"], Admitted]


class Refusal(Error):  # type: ignore[misc]  # waitress has no types
    """An answer that is ready."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("")
        self.code = answer.status
        self._answer = answer

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """As waitress asks for it."""
        status = f"{self._answer.status} {HTTPStatus(self._answer.status).phrase}"
        return status, list(self._answer.headers), self._answer.body


class Request(HTTPRequestParser):  # type: ignore[misc]
    """A request that arrives. `look` is asked once its head is here, if a body follows."""

    path = ""
    """For waitress' log, where no path was read."""

    def __init__(self, adj: Adjustments, look: Look) -> None:
        super().__init__(adj)
        self._look = look
        self._admitted: Admitted | None = None
        self.ready: Ready | None = None
        """Its answer, where there is one at once."""
        self._other_version = False
        self.head_at: float | None = None
        """When its head was complete."""

    @property
    def let_in_at(self) -> float | None:
        """When it was looked at and let in; None where it was not."""
        return self.head_at if self._admitted is not None and self._admitted.answer is None else None

    def let_in_environ(self) -> dict[str, Any] | None:
        """The environment of one that was let in and is here; None of any other."""
        at = self.let_in_at
        if at is None or self.error is not None or self._admitted is None:
            return None
        environ = self._admitted.environ
        note_look(environ, at)
        environ["wsgi.input"] = self.get_body_stream()
        return environ

    @property
    def is_reading_body(self) -> bool:
        """Whether its head is here and its body is not."""
        return self.head_at is not None and not self.completed

    def received(self, data: bytes) -> int:
        """Takes what has come. Returns how much of it belongs to this request."""
        consumed = len(data)
        try:
            if self.body_rcv is None:
                self._check_beginning(data)
            consumed = super().received(data)
        except ParsingError as exc:
            self.error = BadRequest(exc.args[0])
        except ValueError:  # what no other check of waitress' finds, such as an address in broken brackets
            self.error = BadRequest("it cannot be understood")
        if self._other_version:
            self.error = Refusal(server_answer(505))
        if self.error is None and self.headers_finished and self.head_at is None:
            self._head_is_here()
        elif self.error is None and self._admitted is not None:
            self._limit_body(self._admitted)
        if self.error is None:
            return consumed
        self.refuse(self.error)
        return len(data)  # what follows is no request: the connection is closed

    def refuse(self, error: Error) -> None:
        """Nothing more of it is read."""
        self.error = error
        self.completed = True
        self.expect_continue = False

    def parse_header(self, header_plus: bytes) -> None:
        """Reads the head. What could be read in two ways is refused: a proxy may read it in the other one."""
        self._check_lines(header_plus)
        super().parse_header(header_plus)
        encodings = _ENCODING.findall(header_plus)
        if not encodings:
            return
        if "CONTENT_LENGTH" in self.headers:
            raise ParsingError("it has both Content-Length and Transfer-Encoding")
        if self.version != "1.1" or len(encodings) > 1 or encodings[0].strip().lower() != b"chunked":
            raise ParsingError("its Transfer-Encoding can be read in two ways")

    def _check_beginning(self, data: bytes) -> None:
        """What waitress would skip, or wait for until the time is over. Raises ParsingError."""
        head = self.header_plus + data
        if head.lstrip(b"\r\n")[:1] in {b" ", b"\t", b"\v", b"\f"}:
            raise ParsingError("it begins with a space")
        if b"\r\n\r\n" not in head and _BARE.search(head, max(0, len(self.header_plus) - 1)):
            raise ParsingError("a line of its head ends with a line feed alone")

    def _check_lines(self, head: bytes) -> None:
        """The first line, the host, and how lines end. Raises ParsingError."""
        first, _, rest = head.partition(b"\r\n")
        found = _FIRST_LINE.fullmatch(first)
        if found is None:
            raise ParsingError("its first line is not METHOD TARGET HTTP/1.1")
        method, target, version = found.groups()
        if version not in {b"1.0", b"1.1"}:
            self._other_version = True
            raise ParsingError("")
        _check_ends(rest)
        hosts = _HOST.findall(rest)
        if len(hosts) > 1 or (not hosts and version == b"1.1"):
            raise ParsingError(f"it has {len(hosts) or 'no'} header{'s' if hosts else ''} Host")
        if target.startswith(b"/") or (method, target) == (b"OPTIONS", b"*"):
            return
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or [absolute[1].lower()] != [host.lower() for host in hosts]:
            raise ParsingError("its target is neither a path nor an address of the host that it names")

    def _head_is_here(self) -> None:
        self.head_at = time.monotonic()
        if self.body_rcv is None:
            return
        self._admitted = self._look(self)
        if self._admitted.answer is not None:
            self.refuse(Refusal(self._admitted.answer))

    def _limit_body(self, admitted: Admitted) -> None:
        """Of a body whose length was not known before: its bytes, and what its chunks cost the loop besides them."""
        if not self.chunked:
            return
        length = len(self.body_rcv)
        if length > admitted.body_limit:
            self.refuse(Refusal(admitted.too_large))
        elif self.body_bytes_received - length > SPARE_CHUNK_BYTES + length // 4:
            self.refuse(BadRequest("its chunks are too small"))


def _check_ends(headers: bytes) -> None:
    """Raises ParsingError where a line has another end than the two characters, or no end."""
    if _ALONE.search(headers):
        raise ParsingError("a line of its head ends with a carriage return or a line feed alone")
    if _FOLDED.search(headers):
        raise ParsingError("a header goes on in a second line")


class JsonErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers what waitress itself refuses in the one shape that every error has."""

    def execute(self) -> None:
        """Writes the answer."""
        error = self.request.error
        if not isinstance(error, Refusal):
            self.request.error = Refusal(server_answer(error.code, str(error.body) if error.code < 500 else ""))
        super().execute()
