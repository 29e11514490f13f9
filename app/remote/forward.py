"""Forwards a local port to a port of the instance, as `ssh -L` does: on loopback, and only while it is used.

Bytes are passed on unchanged, so WebSockets work.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import paramiko

from app.domain.errors import RemoteError
from app.remote.host import RemoteHost

MAX_CONNECTIONS = 64
"""At the same time. A browser page opens about seven."""
_LOOK_SECONDS = 0.25
_OPEN_SECONDS = 15.0
_CHUNK = 65_536
_log = logging.getLogger(__name__)


class Forward:
    """`serve` runs in one thread until `stop` is set, the connection is lost, or nobody connects for `idle_seconds`."""

    def __init__(self, host: RemoteHost, port: int, *, idle_seconds: float = 900.0) -> None:
        """Starts to listen on a free port. `port`: the port on the instance's loopback interface. Raises OSError."""
        self._host = host
        self._port = port
        self._idle_seconds = idle_seconds
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self._listener.settimeout(_LOOK_SECONDS)
        self._lock = threading.Lock()
        self._open = 0
        self._used_at = time.monotonic()
        self._ended = threading.Event()

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def serve(self, stop: threading.Event) -> str:
        """Forwards connections. Returns why it ended: `stopped`, `connection_lost` or `not_used`."""
        pool = ThreadPoolExecutor(2 * MAX_CONNECTIONS, thread_name_prefix="forward")
        try:
            while True:
                with self._lock:
                    idle = not self._open and time.monotonic() - self._used_at > self._idle_seconds
                if stop.is_set():
                    return "stopped"
                if not self._host.is_alive:
                    return "connection_lost"
                if idle:
                    return "not_used"
                try:
                    here, _ = self._listener.accept()
                except TimeoutError:
                    continue
                with self._lock:
                    full = self._open >= MAX_CONNECTIONS
                    self._open += not full
                if full:
                    here.close()
                else:
                    pool.submit(self._carry, here, pool)
        finally:
            self._ended.set()
            self._listener.close()
            self._host.close()
            pool.shutdown(wait=True)

    def _carry(self, here: socket.socket, pool: ThreadPoolExecutor) -> None:
        """Forwards one connection in both directions until it ends."""
        with closing(here):
            try:
                with closing(self._host.open_tunnel("127.0.0.1", self._port, _OPEN_SECONDS)) as remote:
                    here.settimeout(_LOOK_SECONDS)
                    remote.settimeout(_LOOK_SECONDS)
                    backward = pool.submit(self._pump, remote, here)
                    self._pump(here, remote)
                    backward.result()
            except (RemoteError, OSError) as exc:
                _log.info("port %d of %s: %s", self._port, self._host.endpoint, exc)
        with self._lock:
            self._open -= 1
            self._used_at = time.monotonic()

    def _pump(self, source: socket.socket | paramiko.Channel, sink: socket.socket | paramiko.Channel) -> None:
        """Copies `source` to `sink` until `source` ends, and passes the end on. The other direction may go on."""
        while not self._ended.is_set():
            try:
                chunk = source.recv(_CHUNK)
            except TimeoutError:
                continue
            except OSError:
                break
            if not chunk or not self._send(sink, chunk):
                break
        with suppress(OSError, EOFError):  # it was over already
            if isinstance(sink, socket.socket):
                sink.shutdown(socket.SHUT_WR)
            else:
                sink.shutdown_write()

    def _send(self, sink: socket.socket | paramiko.Channel, chunk: bytes) -> bool:
        """Sends all of `chunk`, however slow the other side is. False when the other side is closed."""
        rest = memoryview(chunk)
        while rest and not self._ended.is_set():
            try:
                rest = rest[sink.send(rest.tobytes()) :]
            except TimeoutError:
                continue
            except OSError:
                return False
        return not rest
