"""One connection of a browser: its requests, one after another."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import IntEnum

import h11
import paramiko

from app.remote.gateway import answers, pipe
from app.remote.gateway.access import Access, Headers, Refused, Way, values
from app.remote.gateway.exchange import Exchange, OpenChannel, Upstream
from app.remote.gateway.headers import is_websocket, lowered

IDLE_SECONDS = 60.0
"""Between the requests of one connection."""
NEW_SECONDS = 15.0
"""For the first request's first byte."""


class Use(IntEnum):
    """What a connection is used for; in this order connections are closed when there are too many."""

    NEW = 0
    """Nobody has shown the capability on it."""
    IDLE = 1
    """Between two requests."""
    WEBSOCKET = 2
    BUSY = 3
    """ComfyUI answers. Never closed for another one's sake."""


class BrowserConnection:
    """`serve` runs in a thread of its own; `close` may be called from any."""

    def __init__(self, here: socket.socket, access: Access, open_channel: OpenChannel) -> None:
        self._here = here
        self._access = access
        self._upstream = Upstream(open_channel)
        self.use = Use.NEW
        self.since = time.monotonic()

    @property
    def channel(self) -> paramiko.Channel | None:
        """The channel to ComfyUI that it has now."""
        return self._upstream.channel

    def serve(self, pool: ThreadPoolExecutor) -> None:
        """Until one side ends it. `pool`: for a WebSocket's other direction."""
        unread: bytes | None = b""
        try:
            while unread is not None:
                unread = self._one(unread, pool)
            pipe.linger(self._here)
        except (pipe.PeerGone, h11.LocalProtocolError, EOFError, paramiko.SSHException):
            pass
        finally:
            self._upstream.close()
            self._here.close()

    def close(self) -> None:
        """Ends it now; its thread ends soon."""
        with suppress(OSError):
            self._here.shutdown(socket.SHUT_RDWR)
        channel = self._upstream.channel
        if channel is not None:
            channel.close()

    def _one(self, unread: bytes, pool: ThreadPoolExecutor) -> bytes | None:
        """One request. What has come of the next one; None when the connection ends. Raises PeerGone."""
        front = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * pipe.MAX_HEAD)
        headers: Headers = []
        method = b""
        try:
            head = pipe.read_head(self._here, unread, NEW_SECONDS if self.use is Use.NEW else IDLE_SECONDS)
            request = _parsed(front, head)
            headers, method = lowered(request.headers), request.method
            way, target = self._access.judge(method, request.target, headers)
            if way is Way.OPEN:
                pipe.send_to_browser(self._here, answers.opening(self._access, headers).sent_by(front, method))
                return None
            self._mark(Use.WEBSOCKET if is_websocket(method, headers) else Use.BUSY)
            goes_on = Exchange(self._here, front, self._upstream, self._access).run(request, target, pool)
        except Refused as refused:
            pipe.send_to_browser(self._here, answers.refusal(refused, headers).sent_by(front, method))
            return None
        self._mark(Use.IDLE)
        return front.trailing_data[0] if goes_on else None

    def _mark(self, use: Use) -> None:
        self.use, self.since = use, time.monotonic()


def _parsed(front: h11.Connection, head: bytes) -> h11.Request:
    """The request. Raises Refused for what parsers may read in two ways, and for what no ComfyUI needs."""
    front.receive_data(head)
    try:
        request = front.next_event()
    except h11.RemoteProtocolError as exc:
        raise Refused(400, "This is not a valid HTTP request.", code="malformed_request") from exc
    assert isinstance(request, h11.Request)
    headers = lowered(request.headers)
    lengths = values(headers, b"content-length")
    coded = values(headers, b"transfer-encoding")
    old = request.http_version != b"1.1"
    odd = (lengths and coded) or (coded and old) or request.http_version not in {b"1.0", b"1.1"}
    if odd or not request.target.startswith(b"/") or request.method in {b"CONNECT", b"TRACE"}:
        raise Refused(400, "This is not a valid HTTP request.", code="malformed_request")
    return request
