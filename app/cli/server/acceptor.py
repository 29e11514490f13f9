"""Waitress' server with limits: how many connections, from where, and what happens beyond them.

Idle ones make room first. Where the system gives no more files, it waits a moment instead of trying without end.
"""

from __future__ import annotations

import errno
import heapq
import ipaddress
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from app.cli.server.connection import Connection
from app.cli.server.limits import Limits
from app.cli.server.request import Admits
from app.sync.http.at_once import AtOnce

Wsgi = Callable[..., Iterable[bytes]]

AT_ONCE = 64
"""Connections that are accepted before the others have their turn."""
MOST_LARGE_BODIES = 64
REFUSED_AT_ONCE = 32
"""How many connections beyond the limit may be open for being told so."""
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.5
_SAY_SECONDS = 60.0

_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


class Acceptor(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Listens, and keeps the connections."""

    channel_class = Connection

    def __init__(
        self,
        app: Wsgi,
        listener: socket.socket,
        *,
        channels: dict[int, Any],
        adjustments: Adjustments,
        limits: Limits,
        admits: Admits,
        at_once: AtOnce,
    ) -> None:
        self.limits = limits
        self.admits = admits
        self.at_once = at_once
        self.loop_thread: int | None = None
        """Which thread runs the loop."""
        self.changed: set[Any] = set()
        self._per_address: Counter[str] = Counter()
        self._large: dict[Connection, None] = {}
        self._deaf_until = self._next_look = 0.0
        self._somebody_waits = False
        self._said_at: dict[str, float] = {}
        self._is_counted = lru_cache(1024)(self._counts)
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(adjustments.threads)
        where = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(
            app, channels, True, listener, dispatcher=dispatcher, adj=adjustments, sockinfo=where, bind_socket=False
        )

    # -- new connections -------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether connections are accepted now."""
        return bool(self.accepting) and time.monotonic() >= self._deaf_until

    def handle_accept(self) -> None:
        """Somebody waits, until `attend`."""
        self._somebody_waits = True

    def attend(self) -> None:
        """Ends what is overdue and accepts what waits. The loop calls it between its rounds: within one, a new
        connection could have the number of one that was just closed, and what had happened there."""
        wasyncore.write(self)  # calls the next method, and keeps an error in it from ending the loop

    def handle_write_event(self) -> None:
        """Of `attend`."""
        now = time.monotonic()
        self.changed.add(self)
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            for connection in list(self.active_channels.values()):
                connection.look(now)
        if self._somebody_waits:
            self._somebody_waits = False
            self._accept()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted = self.accept()
            except OSError as exc:
                if exc.errno in _NO_MORE:
                    self._no_more_files(exc)
                return
            if accepted is None:
                return
            sock, address = accepted
            try:
                self.set_socket_options(sock)
            except OSError:  # it is closed already
                sock.close()
                continue
            self._welcome(sock, address)

    def _welcome(self, sock: socket.socket, address: Any) -> None:
        key = address_key(str(address[0]))
        counted = self._is_counted(str(address[0]))
        refusal = None
        if counted and self._per_address[key] >= self.limits.per_address and not self._shed(key):
            refusal = 429
            self._say("too many connections from %s", key)
        elif len(self.active_channels) >= self.limits.connections and not self._shed():
            refusal = 503
            self._say("all %d connections are busy", self.limits.connections)
        if refusal and len(self.active_channels) >= self.limits.connections + REFUSED_AT_ONCE:
            sock.close()
            return
        connection = self.channel_class(self, sock, address, self.adj, self._map)
        connection.key = key if counted else ""
        self._per_address[connection.key] += 1
        if refusal:
            connection.refuse(refusal)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._large.pop(connection, None)
        if self._per_address[connection.key] <= 1:
            del self._per_address[connection.key]
        else:
            self._per_address[connection.key] -= 1

    def _counts(self, address: str) -> bool:
        """Whether connections from there are counted. Those of this machine and of trusted proxies are not."""
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        ours = (mapped or found).is_loopback and not self.limits.loopback_counts
        return not (ours or self.admits.is_proxy(address))

    # -- who answers -----------------------------------------------------------------------------------------------

    def add_task(self, connection: Connection) -> None:
        """A request is here. One that has just arrived may be answered in the loop."""
        if connection.arrives and threading.get_ident() == self.loop_thread:
            connection.is_due = True
        else:
            self.give_to_thread(connection)

    def give_to_thread(self, connection: Connection) -> None:
        """A thread answers the connection's request."""
        super().add_task(connection)

    def pull_trigger(self) -> None:
        """Wakes the loop, unless this is it: it looks at a connection again after everything that happens there."""
        if threading.get_ident() != self.loop_thread:
            self.wake()

    def wake(self) -> None:
        """Ends the loop's wait, also from a signal's handler in its thread."""
        super().pull_trigger()

    # -- too many --------------------------------------------------------------------------------------------------

    def _shed(self, key: str = "") -> bool:
        """Closes some that nobody waits for, those that are idle for the longest time first. Whether there were any.
        `key`: of this address only."""
        now = time.monotonic()
        ranked = (
            (rank, number, each)
            for number, each in enumerate(self.active_channels.values())
            if (not key or each.key == key) and (rank := each.rank(now)) is not None
        )
        count = 1 if key else max(1, self.limits.connections // 64)
        shed = heapq.nsmallest(count, ranked)
        for _, _, connection in shed:
            connection.drop()
        return bool(shed)

    def handle_error(self) -> None:
        """A bug; waitress would stop listening."""
        _log.error("connection_failed", exc_info=True)

    def _no_more_files(self, error: OSError) -> None:
        self._say("no connection can be accepted: %s", error.strerror)
        if not self._shed():
            self._deaf_until = time.monotonic() + _PAUSE_SECONDS

    def note_large(self, connection: Connection, *, large: bool) -> None:
        """Whether a large body is arriving there. Of too many at once, the one that began first is refused."""
        if not large:
            self._large.pop(connection, None)
            return
        self._large[connection] = None
        if len(self._large) > MOST_LARGE_BODIES:
            next(iter(self._large)).refuse(503)

    def _say(self, text: str, *values: object) -> None:
        """Logs it, but not each time."""
        now = time.monotonic()
        if now - self._said_at.get(text, -_SAY_SECONDS) >= _SAY_SECONDS:
            self._said_at[text] = now
            _log.warning(text, *values)


def address_key(address: str) -> str:
    """What counts as one address: of IPv6 the network, since a single machine may have all of it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
