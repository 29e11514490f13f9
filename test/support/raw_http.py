"""HTTP by hand, for requests that no client library sends."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

HOST = "Host: 127.0.0.1\r\n"
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class RawAnswer:
    """What came back until the server closed. `status`: 0 where nothing came."""

    status: int
    head: str
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, an object."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def error(self) -> str:
        """The error's code in the one shape that every error has, "" without a body."""
        return str(self.json["error"]) if self.body else ""


def connect(url: str, source: str = "") -> socket.socket:
    """A connection to the server of `url`, from the address `source`."""
    parts = urlsplit(url)
    return socket.create_connection(
        (parts.hostname or "", parts.port or 80), timeout=WAIT_SECONDS, source_address=(source, 0) if source else None
    )


def answer_on(connection: socket.socket) -> RawAnswer:
    """Everything until the server closes."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return parsed(received)


def parsed(received: bytes) -> RawAnswer:
    """One answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.decode("latin-1").split(" ", 2)
    return RawAnswer(int(words[1]) if len(words) > 1 else 0, head.decode("latin-1"), body)


def ask(url: str, request: str | bytes) -> RawAnswer:
    """The answer to a request that is sent as it is; the connection is the request's own."""
    with connect(url) as connection:
        connection.sendall(request.encode() if isinstance(request, str) else request)
        return answer_on(connection)


def head_of(method: str, path: str, *lines: str, host: str = HOST) -> bytes:
    """The head of a request."""
    text = f"{method} {path} HTTP/1.1\r\n{host}" + "".join(line + "\r\n" for line in lines) + "\r\n"
    return text.encode("latin-1")


@contextmanager
def held(url: str, count: int, start: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many open connections, on each of which `start` was sent and nothing more comes."""
    with ExitStack() as opened:
        connections = []
        for _ in range(count):
            connection = opened.enter_context(connect(url))
            connection.sendall(start)
            connections.append(connection)
        yield connections


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed it, now."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def is_answered(connection: socket.socket) -> bool:
    """Whether something came back, now."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return False
