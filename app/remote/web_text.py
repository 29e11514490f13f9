"""Reads one small text from the web, directly or through an instance, whose network may reach what ours does not.

TLS is always ours: an instance passes bytes on and cannot change them. Everything has one deadline and a size.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from app.domain.errors import ConnectFailed, DefaultListUnavailable
from app.domain.host_port import join_host_port
from app.protocol import amounts
from app.remote.deadline import Deadline
from app.remote.tcp import open_socket

MAX_BYTES = 512 * 1024
MAX_REDIRECTS = 3
_LONGEST_ETAG = 200
_LONGEST_NUMBER = 9
_PIECE = 64 * 1024
_T = TypeVar("_T")
_PORTS = {"https": 443, "http": 80}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Stream(Protocol):
    """What a socket and a channel of SSH have in common."""

    def settimeout(self, timeout: float | None, /) -> None:
        """For everything below."""

    def sendall(self, data: bytes, /) -> object:
        """Sends all of it."""

    def recv(self, most: int, /) -> bytes:
        """At least a byte; none at the end."""

    def close(self) -> None:
        """May be called again."""


Open = Callable[[str, int, Deadline], Stream]
Sink = Callable[[bytes], object]
"""Takes an answer piece by piece. What it raises ends the reading."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a web server gave. `content` is None where it is what `etag` stood for already."""

    content: bytes | None
    etag: str | None


class WebError(Exception):
    """A web address gave nothing that can be used; the message says why, without the address. `status`: what its server
    answered; `retry_after`: the seconds that it asks to wait."""

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def read_text(url: str, seconds: float, open_stream: Open = open_socket) -> bytes:
    """What stands at an http(s) address: at most `MAX_BYTES`, within `seconds` in all. Raises
    DefaultListUnavailable."""
    try:
        return fetch(url, seconds, open_stream=open_stream).content or b""
    except WebError as exc:
        raise DefaultListUnavailable(
            f"{urlsplit(url).hostname or 'The server'} gave no list: {str(exc).rstrip('.')}."
        ) from exc


def fetch(
    url: str,
    seconds: float,
    *,
    most: int = MAX_BYTES,
    etag: str | None = None,
    open_stream: Open = open_socket,
    sink: Sink | None = None,
) -> Fetched:
    """What stands at an http(s) address: at most `most` bytes, within `seconds` in all. `etag`: of what the caller has;
    `sink`: what takes the content, of which nothing is returned then. Raises WebError."""
    deadline = Deadline(seconds, urlsplit(url).hostname or "The server")
    for _ in range(MAX_REDIRECTS + 1):
        try:
            status, headers, content = _get(_checked(url), deadline, open_stream, _Content(most, sink), etag)
        except ConnectFailed as exc:
            raise WebError(exc.message) from exc
        except h11.ProtocolError as exc:
            raise WebError("its answer is cut off, or no HTTP") from exc
        except (OSError, ValueError) as exc:  # TLS's errors are OSErrors
            raise WebError(_why(exc)) from exc
        if status == 200:
            return Fetched(content, _etag_in(headers))
        if status == 304 and etag:
            return Fetched(None, etag)
        if status not in _REDIRECTS or not headers.get(b"location"):
            raise WebError(f"the server answers {status}", status, _retry_after(headers))
        url = _next(url, headers[b"location"].decode("latin-1"))
    raise WebError("the server leads from one address to the next")


class _Content:
    """What an answer brings, where it is to be kept or given to a sink."""

    def __init__(self, most: int, sink: Sink | None) -> None:
        self.data = bytearray()
        self._left, self._most, self._sink = most, most, sink

    def add(self, status: int, data: bytes) -> None:
        """The next piece. Raises ValueError where it is too much, and what the sink raises."""
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it sends more than {amounts.size(self._most)}")
        if self._sink is None:
            self.data += data
        elif status == 200:
            self._sink(data)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return f"{str(error) or type(error).__name__}"[:200]


def _etag_in(headers: dict[bytes, bytes]) -> str | None:
    found = headers.get(b"etag", b"").decode("latin-1")
    return found if found.isprintable() and 0 < len(found) <= _LONGEST_ETAG else None


def _retry_after(headers: dict[bytes, bytes]) -> float | None:
    """The seconds; a date in their place is not read."""
    text = headers.get(b"retry-after", b"").decode("latin-1").strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER else None


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("it has no usable web address")
    return parts


def _next(url: str, location: str) -> str:
    """Where a redirect leads: never from https to http."""
    target = urljoin(url, location)
    if url.startswith("https:") and not target.startswith("https:"):
        raise WebError("the server leads to an address without TLS")
    return target


def _get(
    parts: SplitResult, deadline: Deadline, open_stream: Open, content: _Content, etag: str | None
) -> tuple[int, dict[bytes, bytes], bytes]:
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    stream = open_stream(host, port, deadline)
    try:
        if parts.scheme == "https":
            stream = _Tls(stream, host, deadline)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        name = join_host_port(host, port) if parts.port else host
        headers = {
            "Host": name,
            "User-Agent": "nodeferry",
            "Accept": "*/*",
            "Connection": "close",
            **({"If-None-Match": etag} if etag else {}),
        }
        return _exchange(
            stream, h11.Request(method="GET", target=target, headers=list(headers.items())), deadline, content
        )
    finally:
        stream.close()


def _exchange(
    stream: Stream, request: h11.Request, deadline: Deadline, content: _Content
) -> tuple[int, dict[bytes, bytes], bytes]:
    connection = h11.Connection(h11.CLIENT)
    _wait(stream, deadline)
    stream.sendall((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    status, headers = 0, {}
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            _wait(stream, deadline)
            connection.receive_data(stream.recv(_PIECE))
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, dict(event.headers)
        elif isinstance(event, h11.Data):
            content.add(status, event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, headers, bytes(content.data)
        elif isinstance(event, h11.ConnectionClosed):
            raise ValueError("it ended the connection")


def _wait(stream: Stream, deadline: Deadline) -> None:
    """One read or write may last as long as everything still may."""
    deadline.check("reading the list")
    stream.settimeout(deadline.remaining)


class _Tls:
    """TLS over any stream: ssl's own sockets need a real one."""

    def __init__(self, stream: Stream, host: str, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = ssl.create_default_context().wrap_bio(self._in, self._out, server_hostname=host)
        self._pumped(self._tls.do_handshake)

    def settimeout(self, timeout: float | None, /) -> None:
        """Its reads look at the deadline themselves."""

    def sendall(self, data: bytes, /) -> None:
        """Encrypts and sends it."""
        self._tls.write(data)
        self._flush()

    def recv(self, most: int, /) -> bytes:
        """What comes next; none at the end, which TLS has to say."""
        try:
            return self._pumped(lambda: self._tls.read(most))
        except ssl.SSLZeroReturnError:
            return b""

    def close(self) -> None:
        """Ends the stream below."""
        self._stream.close()

    def _pumped(self, step: Callable[[], _T]) -> _T:
        """Does a step of TLS, with what it wants to read and has to send."""
        while True:
            try:
                done = step()
                self._flush()
                return done
            except ssl.SSLWantReadError:
                self._flush()
                _wait(self._stream, self._deadline)
                data = self._stream.recv(_PIECE)
                self._in.write(data) if data else self._in.write_eof()

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            _wait(self._stream, self._deadline)
            self._stream.sendall(data)
