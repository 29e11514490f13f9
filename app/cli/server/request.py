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

from app.sync.http.admission import Admitted, server_answer
from app.sync.http.errors import Answer

NO_LIMIT = 1 << 62
"""For waitress' own limit of bodies, which would come before ours."""
SPARE_CHUNK_BYTES = 16 * 1024
"""What chunks of any size may cost; beyond that a quarter of the body."""
_ENCODING = re.compile(rb"^transfer-encoding[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


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
        self.head_at: float | None = None
        """When its head was complete."""

    @property
    def is_reading_body(self) -> bool:
        """Whether its head is here and its body is not."""
        return self.head_at is not None and not self.completed

    def received(self, data: bytes) -> int:
        """Takes what has come. Returns how much of it belongs to this request."""
        try:
            consumed: int = super().received(data)
        except ValueError:  # what no other check of waitress' finds, such as an address in broken brackets
            self.error = BadRequest("it cannot be understood")
            consumed = len(data)
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
        super().parse_header(header_plus)
        encodings = _ENCODING.findall(header_plus)
        if not encodings:
            return
        if "CONTENT_LENGTH" in self.headers:
            raise ParsingError("it has both Content-Length and Transfer-Encoding")
        if self.version != "1.1" or len(encodings) > 1 or encodings[0].strip().lower() != b"chunked":
            raise ParsingError("its Transfer-Encoding can be read in two ways")

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


class JsonErrorTask(ErrorTask):  # type: ignore[misc]
    """Answers what waitress itself refuses in the one shape that every error has."""

    def execute(self) -> None:
        """Writes the answer."""
        error = self.request.error
        if not isinstance(error, Refusal):
            self.request.error = Refusal(server_answer(error.code, str(error.body) if error.code < 500 else ""))
        super().execute()
