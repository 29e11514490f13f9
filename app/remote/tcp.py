"""Opens TCP connections within a deadline, with settings for short commands and for noticing a lost connection."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

from app.domain.errors import ConnectFailed
from app.domain.host_port import join_host_port
from app.remote.deadline import Deadline

_SPEAKS_SECONDS = 1.0
"""How long a server is waited for to speak first. Nearly all do at once; some wait for the client."""
USER_TIMEOUT_SECONDS = 10
"""After this long without an acknowledgement the kernel ends the connection (where it has TCP_USER_TIMEOUT)."""

_DOING_LOOKUP = "looking up its name"
_DOING_CONNECT = "connecting"
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK})
_AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def open_socket(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connected socket to the first address of `host` that answers. Raises ConnectFailed."""
    addresses = _look_up(host, port, deadline)
    reasons: list[str] = []
    for at, address in enumerate(addresses):
        try:
            return _connect(address, deadline, deadline.remaining / (len(addresses) - at))
        except OSError as exc:
            reasons.append(exc.strerror or str(exc))
    deadline.check(_DOING_CONNECT)
    raise ConnectFailed(f"{join_host_port(host, port)} could not be reached: {'; '.join(dict.fromkeys(reasons))}.")


def _look_up(host: str, port: int, deadline: Deadline) -> Sequence[_AddressInfo]:
    deadline.check(_DOING_LOOKUP)
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass  # a name

    def by_name() -> Sequence[_AddressInfo]:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    try:
        return deadline.call(by_name, _DOING_LOOKUP)
    except (socket.gaierror, UnicodeError) as exc:
        raise ConnectFailed(
            f"The host name {host} is not known.", hint="Check it for typing errors, and your internet connection."
        ) from exc


def _connect(address: _AddressInfo, deadline: Deadline, seconds: float) -> socket.socket:
    """Connects to one address within `seconds`. Raises OSError, or ConnectFailed when cancelled."""
    family, kind, protocol, _, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(target)
        if code in _PENDING:
            waiter = select.poll()
            waiter.register(sock, select.POLLOUT)
            stop_at = deadline.remaining - seconds
            while not waiter.poll(1000 * deadline.slice(_DOING_CONNECT)):
                if deadline.remaining < stop_at:
                    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only
        if user_timeout is not None:
            sock.setsockopt(socket.IPPROTO_TCP, user_timeout, 1000 * USER_TIMEOUT_SECONDS)
    except BaseException:
        sock.close()
        raise
    return sock


def has_spoken(sock: socket.socket, deadline: Deadline) -> bool:
    """Waits for the first byte, `_SPEAKS_SECONDS` at most: whether it is there, or the other side has hung up. Raises
    ConnectFailed when cancelled, or out of time."""
    waiter, began = select.poll(), time.monotonic()
    waiter.register(sock, select.POLLIN)
    while time.monotonic() - began < _SPEAKS_SECONDS:
        if waiter.poll(1000 * deadline.slice("SSH greeting")):
            return True
    return False
