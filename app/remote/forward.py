"""A local port that leads to the ComfyUI of an instance: on loopback, and only while it is used.

Every connection costs a thread here and a channel of the SSH connection, so both have a limit.
"""

from __future__ import annotations

import errno
import logging
import math
import selectors
import socket
import threading
import time
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import paramiko

from app.remote.channel import unread_bytes
from app.remote.gateway.access import LOOPBACK, Access
from app.remote.gateway.connection import BrowserConnection, Use
from app.remote.host import RemoteHost

MAX_CONNECTIONS = 64
"""At the same time. A browser page opens about seven."""
MAX_NEW = 16
"""Of these, on which nobody has shown the capability: strangers cannot use up the service's descriptors."""
LEAST_SECONDS = {Use.NEW: 0.5, Use.IDLE: 1.0, Use.WEBSOCKET: 30.0, Use.BUSY: math.inf}
"""As long a connection has been used so before it may be closed for another one's sake."""
FULL_SECONDS = 5.0
"""As long a connection waits for a place before it hears that there is none."""
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.02
_OPEN_SECONDS = 15.0
_TRIES = 20
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b"Too many connections are open to this ComfyUI.\n"
)
_log = logging.getLogger(__name__)


class Forward:
    """`serve` runs in one thread until `stop` is set, the connection is lost, or nobody uses it for `idle_seconds`."""

    def __init__(
        self,
        host: RemoteHost,
        port: int,
        *,
        names: frozenset[str] = frozenset(),
        hosts: AbstractSet[str] = frozenset(LOOPBACK),
        idle_seconds: float = 900.0,
    ) -> None:
        """Starts to listen on a free port. `port`: the port on the instance's loopback interface; `names` and `hosts`:
        as Access has them. Raises OSError."""
        self._host = host
        self._port = port
        self._idle_seconds = idle_seconds
        self._listeners = _listen()
        self.access = Access(self._listeners[0].getsockname()[1], names, hosts)
        self._lock = threading.Lock()
        self._open: list[BrowserConnection] = []
        self._used_at = time.monotonic()
        self._full_since = 0.0

    def serve(self, stop: threading.Event) -> str:
        """Forwards connections. Returns why it ended: `stopped`, `connection_lost`, `not_used` or `flooded`."""
        pool = ThreadPoolExecutor(2 * MAX_CONNECTIONS, thread_name_prefix="forward")
        try:
            with selectors.DefaultSelector() as selector:
                for listener in self._listeners:
                    listener.setblocking(False)
                    selector.register(listener, selectors.EVENT_READ)
                while not (why := self._ended(stop)):
                    for key, _ in selector.select(_LOOK_SECONDS):
                        if self._has_room(stop) and not self._accept(key.fileobj, pool):  # type: ignore[arg-type]
                            stop.wait(_LOOK_SECONDS)
            return why
        finally:
            for listener in self._listeners:
                listener.close()
            self._host.close()
            with self._lock:
                for connection in self._open:
                    connection.close()
            pool.shutdown(wait=True)

    def _ended(self, stop: threading.Event) -> str:
        """Why it has ended; empty while it goes on."""
        with self._lock:
            used = any(connection.use is not Use.NEW for connection in self._open)
        if used:
            self._used_at = time.monotonic()
        if stop.is_set():
            return "stopped"
        if not self._host.is_alive:
            return "flooded" if self._host.broke_rules else "connection_lost"
        return "not_used" if time.monotonic() - self._used_at > self._idle_seconds else ""

    def unread(self) -> int:
        """How many bytes wait here for a browser, on the fullest channel."""
        with self._lock:
            channels = [connection.channel for connection in self._open]
        return max((unread_bytes(channel) for channel in channels if channel is not None), default=0)

    def _has_room(self, stop: threading.Event) -> bool:
        """Whether the next connection is accepted: to be served, or to hear that there is no place. Else it waits."""
        now = time.monotonic()
        with self._lock:
            if self._is_free() or self._shed_one(now):
                self._full_since = 0.0
                return True
        self._full_since = self._full_since or now
        if now - self._full_since > FULL_SECONDS:
            return True
        stop.wait(_PAUSE_SECONDS)
        return False

    def _accept(self, listener: socket.socket, pool: ThreadPoolExecutor) -> bool:
        """False where nothing could be accepted: it has left, or no descriptor is free."""
        try:
            here, _ = listener.accept()
        except OSError as exc:
            _log.info("port %d: %s", self.access.port, exc)
            return False
        here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = BrowserConnection(here, self.access, self._open_channel)
        with self._lock:
            admitted = self._is_free()
            if admitted:
                self._open.append(connection)
        if admitted:
            pool.submit(self._carry, connection, pool)
            return True
        with here, suppress(OSError):
            here.settimeout(_LOOK_SECONDS)
            here.sendall(_FULL)
        return True

    def _is_free(self) -> bool:
        """Whether one more connection may be open."""
        new = sum(one.use is Use.NEW for one in self._open)
        return len(self._open) < MAX_CONNECTIONS and new < MAX_NEW

    def _shed_one(self, now: float) -> bool:
        """Closes the connection that is missed least; False when every one is in use, or may be soon."""
        least = min(self._open, key=lambda one: (one.use, one.since))
        if now - least.since < LEAST_SECONDS[least.use]:
            return False
        self._open.remove(least)
        least.close()
        return True

    def _carry(self, connection: BrowserConnection, pool: ThreadPoolExecutor) -> None:
        try:
            connection.serve(pool)
        finally:
            with self._lock, suppress(ValueError):  # closed for another one's sake
                self._open.remove(connection)

    def _open_channel(self) -> paramiko.Channel:
        return self._host.open_tunnel("127.0.0.1", self._port, _OPEN_SECONDS)


def _listen() -> list[socket.socket]:
    """Sockets on one free port of both loopback addresses: `localhost` may mean either, and nobody else may have one.

    Raises OSError."""
    for _ in range(_TRIES):
        first = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        try:
            port = first.getsockname()[1]
            second = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=MAX_CONNECTIONS)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:  # no IPv6 here
                return [first]
            first.close()
        else:
            return [first, second]
    raise OSError(errno.EADDRINUSE, "no port is free on both loopback addresses")
