"""A request that is hidden in another one, sent through a real nginx to a real service."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from test.support.real_proxy import NAME, nginx
from test.support.service import ServiceProcess

TOKEN = "of nobody, but longer than 24 letters"
HIDDEN = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d" % len(HIDDEN)
CARRIERS: dict[str, tuple[tuple[bytes, ...], bytes]] = {
    "a length and a coding": ((b"Content-Length: 5", CHUNKED), b"0\r\n\r\n" + HIDDEN),
    "a coding and a length": ((CHUNKED, LENGTH), b"0\r\n\r\n" + HIDDEN),
    "a coding with a space before the colon": ((b"Transfer-Encoding : chunked", LENGTH), HIDDEN),
    "a coding that goes on": ((b"Transfer-Encoding:", b" chunked", LENGTH), HIDDEN),
    "a length in a line that goes on": ((b"X: a", b" Content-Length: 0", LENGTH), HIDDEN),
    "a line feed alone": ((b"X: a\nContent-Length: 0", LENGTH), HIDDEN),
    "a length with an underscore": ((b"Content_Length: 0", LENGTH), HIDDEN),
    "two lengths": ((b"Content-Length: 0", LENGTH), HIDDEN),
    "a chunk whose size has a line feed": ((CHUNKED,), b"%x\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n"),
    "a chunk with an extension": ((CHUNKED,), b"%x;a=\n0" % len(HIDDEN) + b"\r\n" + HIDDEN + b"\r\n0\r\n\r\n"),
    "HTTP/1.0": ((CHUNKED, b"Connection: keep-alive"), b"0\r\n\r\n"),
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx, as docs/deploy.md sets it up."""
    folder = tmp_path_factory.mktemp("s")
    settings = {"token": TOKEN, "trusted_proxies": "127.0.0.1", "allowed_hosts": NAME}
    with (
        ServiceProcess(folder / "service", **settings) as service,  # type: ignore[arg-type]  # texts, all of them
        nginx(_made(folder / "nginx"), service.url, below_path=False) as address,
    ):
        yield address


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _ask(address: str, request: bytes) -> bytes:
    """Everything that comes back until nginx closes, or says nothing for a while."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    parts = urlsplit(address)
    received = b""
    with (
        socket.create_connection(("127.0.0.1", parts.port or 443), timeout=20) as plain_text,
        context.wrap_socket(plain_text, server_hostname=NAME) as connection,
    ):
        connection.sendall(request)
        try:
            while data := connection.recv(65536):
                received += data
                connection.settimeout(1)
        except (TimeoutError, OSError):
            pass
    return received


def test_nginx_passes_requests_on(proxy: str) -> None:
    """Else nothing below means anything."""
    answer = _ask(proxy, b"GET /health HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % NAME.encode())
    assert b'"status":"ok"' in answer


@pytest.mark.parametrize("name", CARRIERS)
def test_no_hidden_request_is_answered_behind_nginx(proxy: str, name: str) -> None:
    """Whatever the two of them make of the first one."""
    lines, body = CARRIERS[name]
    version = b"1.0" if name == "HTTP/1.0" else b"1.1"
    host = proxy.partition("://")[2].encode()
    head = [b"POST /tasks/prune HTTP/" + version, b"Host: " + host, b"Content-Type: application/json", *lines]
    answer = _ask(proxy, b"\r\n".join(head) + b"\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert b'"status":"ok"' not in answer
