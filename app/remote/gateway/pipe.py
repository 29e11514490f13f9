"""Bytes between a browser's socket and an SSH channel, with a deadline for every wait."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress

import paramiko

from app.remote.gateway.access import Refused

CHUNK = 65_536
STALL_SECONDS = 300.0
"""How long one side may not read what is for it. A browser stops reading while a download or a video is paused."""
HEAD_SECONDS = 10.0
"""For the head of a request, from its first byte."""
MAX_HEAD = 65_536
LOOK_SECONDS = 0.25
_LINGER_SECONDS = 1.0
_LONELY_LINE_FEED = re.compile(rb"(?<!\r)\n")
_BAD_HEAD = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0|\n[ \t]|\A\s")
"""What parsers read differently: line ends of one character, and lines that go on."""


class PeerGone(Exception):
    """The browser's side, or ComfyUI's in the middle of an answer, is over."""


def read_head(here: socket.socket, unread: bytes, first_byte_seconds: float) -> bytes:
    """The bytes of a request's head, and what has come behind it. Raises PeerGone, Refused."""
    got, seen = bytearray(unread), 0
    deadline = time.monotonic() + (HEAD_SECONDS if got else first_byte_seconds)
    while (end := got.find(b"\r\n\r\n", max(0, seen - 3))) < 0:
        if _LONELY_LINE_FEED.search(got, seen):
            raise Refused(400, "This is not a valid HTTP request.", code="malformed_request")
        if len(got) > MAX_HEAD:
            raise Refused(431, "The request's headers are too large.", code="head_too_large")
        seen = len(got)
        got += _received(here, deadline, empty=not seen)
        if not seen:
            deadline = time.monotonic() + HEAD_SECONDS
    if end > MAX_HEAD:
        raise Refused(431, "The request's headers are too large.", code="head_too_large")
    if _BAD_HEAD.search(got[: end + 2]):
        raise Refused(400, "This is not a valid HTTP request.", code="malformed_request")
    return bytes(got)


def _received(here: socket.socket, deadline: float, *, empty: bool) -> bytes:
    """Some bytes before `deadline`. Raises PeerGone, and Refused where a head was begun."""
    here.settimeout(max(0.001, deadline - time.monotonic()))
    try:
        chunk = here.recv(CHUNK)
    except TimeoutError:
        if empty:
            raise PeerGone from None
        raise Refused(408, "The request did not arrive in time.", code="request_too_slow") from None
    except OSError:
        raise PeerGone from None
    if not chunk:
        raise PeerGone
    return chunk


def read_body(here: socket.socket, remote: paramiko.Channel) -> bytes | None:
    """More of a request's body; None when ComfyUI answers before its end. Raises PeerGone."""
    deadline = time.monotonic() + STALL_SECONDS
    here.settimeout(LOOK_SECONDS)
    while time.monotonic() < deadline:
        if is_heard(remote):
            return None
        try:
            chunk = here.recv(CHUNK)
        except TimeoutError:
            continue
        except OSError:
            raise PeerGone from None
        if not chunk:
            raise PeerGone
        return chunk
    raise PeerGone


def read_answer(here: socket.socket, remote: paramiko.Channel) -> bytes:
    """More of ComfyUI's answer, however long that takes; empty at its end. Raises PeerGone when the browser leaves."""
    remote.settimeout(LOOK_SECONDS)
    while True:
        try:
            return remote.recv(CHUNK)
        except TimeoutError:
            if _has_left(here):
                raise PeerGone from None
        except OSError:
            return b""


def send_to_browser(here: socket.socket, chunk: bytes) -> None:
    """All of it. Raises PeerGone."""
    here.settimeout(STALL_SECONDS)
    try:
        here.sendall(chunk)
    except OSError:  # TimeoutError too
        raise PeerGone from None


def send_to_comfyui(remote: paramiko.Channel, chunk: bytes, *, may_answer: bool = False) -> bool:
    """All of it, however slow; False when the channel is over, or `may_answer` and an answer comes first.

    Looks up whenever the channel's own time limit is over."""
    rest, deadline = memoryview(chunk), time.monotonic() + STALL_SECONDS
    while rest:
        try:
            sent = remote.send(rest.tobytes())
        except TimeoutError:
            if (may_answer and is_heard(remote)) or time.monotonic() > deadline:
                return False
        except OSError:
            return False
        else:
            rest, deadline = rest[sent:], time.monotonic() + STALL_SECONDS
    return True


def is_heard(remote: paramiko.Channel) -> bool:
    """Whether something came that nobody has read, or the end."""
    return bool(remote.recv_ready() or remote.eof_received or remote.closed)


def carry(
    source: socket.socket | paramiko.Channel, sink: socket.socket | paramiko.Channel, unread: bytes = b""
) -> None:
    """Copies `unread` and `source` to `sink` until `source` ends, and passes the end on. The other direction may go
    on."""
    source.settimeout(STALL_SECONDS)  # both directions set the same: a time limit is of the socket, not of a thread
    with suppress(OSError, PeerGone):
        chunk = unread or _next(source)
        while chunk and _sent(sink, chunk):
            chunk = _next(source)
    with suppress(OSError, EOFError):  # it was over already
        if isinstance(sink, socket.socket):
            sink.shutdown(socket.SHUT_WR)
        else:
            sink.shutdown_write()


def _next(source: socket.socket | paramiko.Channel) -> bytes:
    while True:
        with suppress(TimeoutError):  # a quiet WebSocket is none that has ended
            return source.recv(CHUNK)


def _sent(sink: socket.socket | paramiko.Channel, chunk: bytes) -> bool:
    if not isinstance(sink, socket.socket):
        return send_to_comfyui(sink, chunk)
    send_to_browser(sink, chunk)
    return True


def linger(here: socket.socket) -> None:
    """Ends the connection so that the last answer arrives: what still comes is read, for a moment."""
    deadline, budget = time.monotonic() + _LINGER_SECONDS, 1_048_576
    with suppress(OSError):
        here.shutdown(socket.SHUT_WR)
        while budget > 0 and (left := deadline - time.monotonic()) > 0:
            here.settimeout(left)
            chunk = here.recv(CHUNK)
            if not chunk:
                return
            budget -= len(chunk)


def _has_left(here: socket.socket) -> bool:
    try:
        return here.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, TimeoutError):
        return False
    except OSError:
        return True
