"""Waitress around a WSGI application, on a socket that is already bound, with an end that has a deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import waitress
from waitress import wasyncore

Wsgi = Callable[..., Iterable[bytes]]

BACKLOG = 2048
CONNECTION_LIMIT = 4000
LOOP_SECONDS = 1.0


class HttpServer:
    """Answers from the moment `run` is called, which returns after `stop`. `stop` may be called from any thread and
    from a signal's handler."""

    def __init__(self, app: Wsgi, listener: socket.socket, *, threads: int = 64) -> None:
        # poll() and a limit of its own: with select() waitress dies past file descriptor 1023
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        self._server = waitress.create_server(
            app,
            map=self._map,
            sockets=[listener],
            threads=threads,
            asyncore_use_poll=True,
            connection_limit=CONNECTION_LIMIT,
            backlog=BACKLOG,
            ident="nodeferry",
            clear_untrusted_proxy_headers=False,  # app.sync.http.behind_proxy decides whom to believe
        )

    def run(self) -> None:
        """Serve until `stop`; then nothing new is accepted. Requests that are being answered go on until `close`."""
        while not self._stopping.is_set():
            wasyncore.loop(timeout=LOOP_SECONDS, use_poll=True, map=self._map, count=1)

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()
        self._server.pull_trigger()

    def close(self, timeout: float) -> None:
        """After `run`: wait up to `timeout` seconds for the requests that are being answered, then drop everything."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout)
        wasyncore.close_all(self._map, ignore_all=True)
