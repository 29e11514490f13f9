"""The classes of the ComfyUI of an instance, read through the SSH connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.domain.errors import RemoteError
from app.remote.connector import SshConnector
from app.remote.web_text import WebError
from app.sync.comfyui_facts import classes_of
from test.remote.conftest import Sshd
from test.support.ports import closed_port

MANY = {
    f"Class{number}": {"python_module": "custom_nodes.pack", "input": {"a": ["x" * 200]}} for number in range(20_000)
}
CLASSES = {**MANY, "KSampler": {"python_module": "nodes", "input": {"required": {"steps": ["INT", {}]}}}}


@contextmanager
def _comfyui(body: bytes, status: int = 200, promised: int | None = None) -> Iterator[int]:
    """The port of a server that answers `/object_info` with this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/object_info" else 404)
            self.send_header("Content-Length", str(len(body) if promised is None else promised))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_all_classes_come_with_their_modules(sshd: Sshd, connector: SshConnector) -> None:
    """Of 6 MB, only what is asked for is kept whole."""
    with _comfyui(json.dumps(CLASSES).encode()) as port, connector.connect(sshd.address) as host:
        found = classes_of(host, port, {"KSampler"})
        assert (len(found.modules), found.folder("Class7"), found.is_core("KSampler")) == (20_001, "pack", True)
        assert dict(found.kept) == {"KSampler": CLASSES["KSampler"]}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((b"no", 404), "404"),
        ((b"login", 401), "401"),
        ((b"<html>", 200), "no JSON"),
        ((b'{"A": {}', 200), "cut off"),
        ((b'{"A": {}', 200, 100), "cut off"),
        ((b"{}", 200, 300 * 1024 * 1024), "cut off"),
    ],
)
def test_what_is_no_answer_is_told(sshd: Sshd, connector: SshConnector, answer: tuple[Any, ...], why: str) -> None:
    with _comfyui(*answer) as port, connector.connect(sshd.address) as host:
        with pytest.raises(WebError, match=why):
            classes_of(host, port)
        assert host.is_alive


def test_where_nothing_listens_is_told(sshd: Sshd, connector: SshConnector) -> None:
    with connector.connect(sshd.address) as host, pytest.raises((WebError, RemoteError)):
        classes_of(host, closed_port())
