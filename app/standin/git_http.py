"""The HTTP side of the git server: git's smart protocol, read only, with rules applied.

Protocol: gitprotocol-http(5). Only the two requests of a fetch are answered; all else is 404 or 403.
"""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any

from app.standin.git_cgi import CgiRequest, answer_of
from app.standin.git_rules import CutHere, GitRequest, Ledger, RepoRule, paced

_ROUTE = re.compile(
    r"/(?P<owner>[\w-][\w.-]*)/(?P<name>[\w-][\w.-]*?)(?:\.git)?/(?P<service>info/refs|git-upload-pack)"
)
_LAST_WORD = b"0009done"
"""The packet by which a client says that it wants the pack now."""
_IDLE_SECONDS = 60


class LoopbackServer(ThreadingMixIn, HTTPServer):
    """Serves `folder` by the ledger's rules, a thread a connection, all of which end with `server_close`."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, folder: Path, ledger: Ledger, latency_seconds: float) -> None:
        self.folder = folder
        self.ledger = ledger
        self.latency_seconds = latency_seconds
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), GitHandler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name, which may ask a name server."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then serve it in a thread."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Wake the threads that wait for a client, or for a rule."""
        self.stopping.set()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, taken apart; `repo` is empty where the path is none of a repository."""

    repo: str
    service: str
    query: str
    body: bytes

    @property
    def is_pack(self) -> bool:
        """Whether the answer will carry a pack."""
        return _LAST_WORD in self.body


class GitHandler(BaseHTTPRequestHandler):
    """One connection of a git client."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: LoopbackServer

    def handle(self) -> None:
        """Serve requests until the client goes, in whichever way."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        """The list of refs, or of capabilities."""
        self._serve(b"")

    def do_POST(self) -> None:
        """Refs by name, or a pack."""
        if self._header("Transfer-Encoding").lower() == "chunked":
            body = b"".join(self._request_chunks())
        else:
            body = self.rfile.read(int(self._header("Content-Length") or 0))
        self._serve(gzip.decompress(body) if self._header("Content-Encoding") == "gzip" else body)

    def log_message(self, *_: Any) -> None:
        """The ledger keeps the requests."""

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        route = _ROUTE.fullmatch(path)
        asked = _Asked(
            repo=f"{route['owner']}/{route['name']}" if route else "",
            service=route["service"] if route else path,
            query=query,
            body=body,
        )
        rule = self.server.ledger.rule_of(asked.repo, is_pack=asked.is_pack)
        self.server.stopping.wait(self.server.latency_seconds + rule.latency_seconds)
        refusal = self._refusal(asked, rule)
        if rule.moved_to:
            status, sent = self._redirect(asked, rule.moved_to)
        else:
            status, sent = self._refuse(refusal) if refusal else self._give(asked, rule)
        protocol, with_login = self._header("Git-Protocol"), "Authorization" in self.headers
        self.server.ledger.record(
            GitRequest(self.command, asked.repo, asked.service, status, sent, protocol, asked.is_pack, with_login)
        )

    def _redirect(self, asked: _Asked, moved_to: str) -> tuple[int, int]:
        base = moved_to if "://" in moved_to else f"http://{self._header('Host')}/{moved_to}"
        query = f"?{asked.query}" if asked.query else ""
        self.send_response(301)
        self.send_header("Location", f"{base}/{asked.service}{query}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return 301, 0

    def _refusal(self, asked: _Asked, rule: RepoRule) -> int | None:
        if rule.status is not None:
            return rule.status
        if not asked.repo or not (self.server.folder / f"{asked.repo}.git").is_dir():
            return 404
        if asked.service == "info/refs" and asked.query != "service=git-upload-pack":
            return 403  # neither pushes nor the dumb protocol
        return None

    def _give(self, asked: _Asked, rule: RepoRule) -> tuple[int, int]:
        request = CgiRequest(
            folder=self.server.folder,
            method=self.command,
            path=f"/{asked.repo}.git/{asked.service}",
            query=asked.query,
            body=asked.body,
            content_type=self._header("Content-Type"),
            protocol=self._header("Git-Protocol"),
        )
        if not asked.is_pack:
            return self._pass_on(request, rule)
        with self.server.ledger.sending_pack():
            return self._pass_on(request, rule)

    def _pass_on(self, request: CgiRequest, rule: RepoRule) -> tuple[int, int]:
        sent = 0
        with answer_of(request) as answer:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for piece in filter(None, paced(answer.body, rule, self.server.stopping)):  # an empty one ends the body
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    sent += len(piece)
                self.wfile.write(b"0\r\n\r\n")
            except (CutHere, ConnectionError):
                self.close_connection = True
        return answer.status, sent

    def _refuse(self, status: int) -> tuple[int, int]:
        body = {401: b"Repository not found.\n", 404: b"Repository not found.\n"}.get(status, b"refused\n")
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return status, len(body)

    def _header(self, name: str) -> str:
        return self.headers.get(name, "")

    def _request_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            continue
