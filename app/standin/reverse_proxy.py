"""A reverse proxy in front of a service: what it says of a request, and which part of the path it takes away."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_CHUNK = 64 * 1024
_ANSWER_SECONDS = 90.0
_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})


@dataclass(frozen=True, slots=True)
class Manner:
    """How a proxy passes requests on. `prefix`: it answers below this path alone. `strips`: it takes that path away
    (code-server's /proxy/PORT/; not its /absproxy/PORT/). `keeps_host`: Host stays the browser's. `says`: headers that
    it sets; `{host}` and `{client}` in them are the browser's."""

    prefix: str = ""
    strips: bool = True
    keeps_host: bool = True
    says: Mapping[str, str] = field(default_factory=dict)


class ReverseProxy:
    """Listens on a free loopback port; a context manager. A thread a connection, all of which end with it."""

    def __init__(self, target: str, manner: Manner) -> None:
        """`target`: http://HOST:PORT of the service."""
        self._server = _Server(target, manner)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="reverse-proxy", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str, manner: Manner) -> None:
        self.target = urlsplit(target).netloc
        self.manner = manner
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name, which may ask a name server."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error of the proxy."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _ANSWER_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing is logged."""

    def do_GET(self) -> None:
        """Pass it on; the answer comes as it is sent, piece by piece."""
        manner = self.server.manner
        if not self.path.startswith(f"{manner.prefix}/"):
            self.send_error(404)
            return
        path = self.path[len(manner.prefix) :] if manner.strips else self.path
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        connection = http.client.HTTPConnection(self.server.target, timeout=_ANSWER_SECONDS)
        try:
            connection.request(self.command, path, body, self._headers())
            self._answer(connection.getresponse())
        finally:
            connection.close()

    do_POST = do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the base class's names

    def _headers(self) -> dict[str, str]:
        manner, host = self.server.manner, self.headers.get("Host", "")
        passed = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        said = {name: text.format(host=host, client=self.client_address[0]) for name, text in manner.says.items()}
        return {**passed, "Host": host if manner.keeps_host else self.server.target, **said}

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP and name.lower() != "content-length":
                self.send_header(name, value)
        has_body = self.command != "HEAD" and answer.status not in {204, 304}
        if has_body:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while has_body:
            chunk = answer.read1(_CHUNK)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if not chunk:
                return
