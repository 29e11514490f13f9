"""Waitress around a WSGI application, on a socket that is already bound, with limits, and an end that has a deadline.

Why waitress, and what is ours in it: docs/decisions/0019-waitress-with-limits.md.
"""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments

from app.cli.server.acceptor import Acceptor, Wsgi
from app.cli.server.limits import Limits
from app.cli.server.loop import Loop
from app.cli.server.request import NO_LIMIT, Admits
from app.sync.capacity import THREADS
from app.sync.http.at_once import AtOnce

BACKLOG = 2048
LOOP_SECONDS = 1.0
MAX_HEAD_BYTES = 64 * 1024
BODY_IN_MEMORY_BYTES = 4 * 1024 * 1024
"""More than any body may have: none is written to a file."""


class HttpServer:
    """Answers from the moment `run` is called, which returns after `stop`. `stop` may be called from any thread and
    from a signal's handler."""

    def __init__(
        self,
        app: Wsgi,
        listener: socket.socket,
        admits: Admits,
        *,
        limits: Limits | None = None,
        threads: int = THREADS,
        at_once: AtOnce = lambda _environ: None,
    ) -> None:
        """`at_once`: what is answered in the loop itself."""
        # poll() and limits of our own: with select() waitress dies past file descriptor 1023
        self._map: dict[int, Any] = {}
        self._stopping = threading.Event()
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line a request, just when there are many
        adjustments = Adjustments(
            sockets=[listener],
            threads=threads,
            connection_limit=NO_LIMIT,
            backlog=BACKLOG,
            ident="nodeferry",
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=NO_LIMIT,
            inbuf_overflow=BODY_IN_MEMORY_BYTES,
            clear_untrusted_proxy_headers=False,  # app.sync.http.behind_proxy decides whom to believe
        )
        self._server = Acceptor(
            app,
            listener,
            channels=self._map,
            adjustments=adjustments,
            limits=limits or Limits(),
            admits=admits,
            at_once=at_once,
        )
        self._loop = Loop(self._server, self._map)

    def run(self) -> None:
        """Serve until `stop`; then nothing new is accepted. Requests that are being answered go on until `close`."""
        self._server.loop_thread = threading.get_ident()
        while not self._stopping.is_set():
            self._loop.round(LOOP_SECONDS)

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()
        self._server.wake()

    def close(self, timeout: float) -> None:
        """After `run`: wait up to `timeout` seconds for the requests that are being answered, then drop everything."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=timeout)
        wasyncore.close_all(self._map, ignore_all=True)
