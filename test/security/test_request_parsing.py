"""Heads and bodies that are no HTTP/1.1, or that two parsers would read differently, sent by hand to a real service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.sync.http.errors import HEADERS
from app.sync.http.spec.document import Route, document
from test.support.contract import Contract
from test.support.raw_http import HOST, RawAnswer, answer_on, ask, connect, head_of
from test.support.service import ServiceProcess

SECOND = head_of("POST", "/tasks/prune", "Content-Type: application/json", "Content-Length: 0")
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """As users start it."""
    with ServiceProcess(tmp_path_factory.mktemp("parsing")) as running:
        yield running


def _head(first: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([first, *(lines or (b"Host: 127.0.0.1",)), b"", b""])


def _line(*lines: bytes) -> bytes:
    return _head(b"GET /health HTTP/1.1", b"Host: 127.0.0.1", *lines)


def _post(line: str, body: bytes = b"0\r\n\r\n") -> bytes:
    return head_of("POST", "/tasks/prune", "Content-Type: application/json", line) + body


HEADS: dict[str, bytes] = {
    "no version": b"GET /health\r\n\r\n",
    "a method in small letters": _head(b"get /health HTTP/1.1"),
    "a method that is no word": _head(b"GE(T /health HTTP/1.1"),
    "two spaces": _head(b"GET  /health HTTP/1.1"),
    "tabs": _head(b"GET\t/health\tHTTP/1.1"),
    "a space before it": _head(b" GET /health HTTP/1.1"),
    "something behind it": _head(b"GET /health HTTP/1.1\x0b"),
    "a control character in the target": _head(b"GET /he\x01alth HTTP/1.1"),
    "a byte that is no ASCII": _head(b"GET /he\xffalth HTTP/1.1"),
    "a fragment": _head(b"GET /health#x HTTP/1.1"),
    "a target that is no path": _head(b"GET health HTTP/1.1"),
    "an asterisk": _head(b"GET * HTTP/1.1"),
    "a tunnel": _head(b"CONNECT 127.0.0.1:22 HTTP/1.1"),
    "TLS": bytes.fromhex("1603010200010001fc0303") + b"\r\n\r\n",
    "zero bytes": b"\0" * 100 + b"\r\n\r\n",
}
LINES: dict[str, bytes] = {
    "a header that goes on": _line(b"X: a", b" b"),
    "a coding that goes on": _line(b"Transfer-Encoding:", b" chunked"),
    "a length in a line that goes on": _line(b"X: a", b" Content-Length: 40"),
    "a first line that goes on": _head(b"GET /health HTTP/1.1", b" Host: 127.0.0.1", b"Host: 127.0.0.1"),
    "line feeds alone, without an end": b"GET /health HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a line feed alone": _line(b"X: a\nY: b"),
    "a carriage return alone": _line(b"X: a\rY: b"),
    "a space before the colon": _line(b"Content-Length : 4"),
    "no colon": _line(b"X"),
    "no name": _line(b": x"),
    "a zero byte": _line(b"X: a\0b"),
    "two hosts": _line(b"Host: evil.example"),
    "the same host twice": _line(b"Host: 127.0.0.1"),
    "no host": _head(b"GET /health HTTP/1.1", b"X: y"),
}
TARGETS: dict[str, bytes] = {
    "another host": _head(b"GET http://evil.example/health HTTP/1.1"),
    "another port": _head(b"GET http://127.0.0.1:1/health HTTP/1.1"),
    "a user": _head(b"GET http://127.0.0.1@evil.example/health HTTP/1.1"),
    "another scheme": _head(b"GET ftp://127.0.0.1/health HTTP/1.1"),
    "a broken address": _head(b"GET http://[::1/health HTTP/1.1"),
    "no host": b"GET http://127.0.0.1/health HTTP/1.0\r\n\r\n",
}
BODIES: dict[str, bytes] = {
    "a length and a coding": _post(f"Content-Length: 5\r\n{CHUNKED}"),
    "a coding and a length": _post(f"{CHUNKED}\r\nContent-Length: 5"),
    "two lengths": _post("Content-Length: 2\r\nContent-Length: 3", b"{}"),
    "the same length twice": _post("Content-Length: 2\r\nContent-Length: 2", b"{}"),
    "a list of lengths": _post("Content-Length: 2, 2", b"{}"),
    "a length in hexadecimal": _post("Content-Length: 0x2", b"{}"),
    "an empty length": _post("Content-Length: ", b"{}"),
    "an empty coding": _post("Transfer-Encoding: "),
    "a coding behind a control character": _post("Transfer-Encoding: \x0bchunked"),
    "a size that is none": _post(CHUNKED, b"zz\r\n{}\r\n0\r\n\r\n"),
    "a size with a sign": _post(CHUNKED, b"+2\r\n{}\r\n0\r\n\r\n"),
    "a size below zero": _post(CHUNKED, b"-2\r\n{}\r\n0\r\n\r\n"),
    "a size with a prefix": _post(CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a size with an underscore": _post(CHUNKED, b"0_2\r\n{}\r\n0\r\n\r\n"),
    "a size that ends with a line feed": _post(CHUNKED, b"2\n{}\r\n0\r\n\r\n"),
    "a chunk that ends with a line feed": _post(CHUNKED, b"2\r\n{}\n0\r\n\r\n"),
    "a chunk that is longer than its size": _post(CHUNKED, b"2\r\n{}xx\r\n0\r\n\r\n"),
    "an extension that ends with a line feed": _post(CHUNKED, b"2;\n{}\r\n0\r\n\r\n"),
    "a coding in HTTP/1.0": _post(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"),
}
VERSIONS: dict[str, bytes] = {
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2": _head(b"GET /health HTTP/2.0"),
    "HTTP/1.2": _head(b"GET /health HTTP/1.2"),
    "HTTP/0.9": _head(b"GET /health HTTP/0.9"),
    "a coding in HTTP/1.9": _post(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.9"),
}


def _refused(service: ServiceProcess, request: bytes, status: int, error: str) -> RawAnswer:
    """The answer, which is the only one although another request follows; then the connection is closed."""
    answer = ask(service.url, request + SECOND)
    assert (answer.status, answer.error) == (status, error)
    assert answer.body.count(b'"success"') == 1
    assert _faults(answer) == []
    return answer


def _faults(answer: RawAnswer) -> list[str]:
    """What the specification does not know of it: it is the same for every route."""
    lines = [line.partition(": ") for line in answer.head.split("\r\n")[1:]]
    headers = {name: value for name, _, value in lines}
    assert headers["Connection"] == "close"
    assert HEADERS.items() <= headers.items()
    route = Route("POST", "/tasks/prune", "prune_tasks", "")
    other = Route("GET", "/tasks/<task_id>", "show_task", "")
    contract = Contract(document([route, other], needs_token=False))
    return contract.faults("POST", "/tasks/prune", answer.status, headers, answer.body)


@pytest.mark.parametrize("name", HEADS)
def test_a_first_line_that_is_none_is_refused(service: ServiceProcess, name: str) -> None:
    """At once, in the shape of all errors."""
    _refused(service, HEADS[name], 400, "malformed_request")


@pytest.mark.parametrize("name", LINES)
def test_a_header_that_can_be_read_in_two_ways_is_refused(service: ServiceProcess, name: str) -> None:
    """A proxy in front may have read it in the other one. What stands in it is not repeated."""
    answer = _refused(service, LINES[name], 400, "malformed_request")
    assert "127.0.0.1" not in answer.json["message"]


@pytest.mark.parametrize("name", TARGETS)
def test_an_address_in_the_place_of_a_path_is_that_of_the_host(service: ServiceProcess, name: str) -> None:
    """Else a proxy might have let it through for the one, and it be answered for the other."""
    _refused(service, TARGETS[name], 400, "malformed_request")


@pytest.mark.parametrize("name", BODIES)
def test_a_body_whose_length_can_be_read_in_two_ways_is_refused(service: ServiceProcess, name: str) -> None:
    """And nothing that follows is read as another request."""
    _refused(service, BODIES[name], 400, "malformed_request")


@pytest.mark.parametrize("name", VERSIONS)
def test_another_version_of_http_is_refused(service: ServiceProcess, name: str) -> None:
    """Rather than read as what it is not."""
    _refused(service, VERSIONS[name], 505, "version_not_supported")


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n" + _head(b"GET /health HTTP/1.1", HOST.strip().encode(), b"Connection: close"),
        _head(b"GET http://127.0.0.1/health HTTP/1.1", b"HOST:127.0.0.1", b"Connection: close"),
        _head(b"GET /health HTTP/1.0"),
        _head(b"OPTIONS * HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"),
        _post(f"{CHUNKED}\r\nConnection: close", b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n"),
    ],
    ids=["an empty line first", "its own address", "HTTP/1.0", "an asterisk", "chunks with an extension"],
)
def test_what_http_allows_is_answered(service: ServiceProcess, request_: bytes) -> None:
    """However seldom a client sends it."""
    assert ask(service.url, request_).status in {200, 204}


def test_a_head_that_comes_byte_by_byte_is_refused_at_the_line_feed(service: ServiceProcess) -> None:
    """Not only when its time is over; and a carriage return at the end of a piece is no fault."""
    with connect(service.url) as connection:
        for piece in (b"GET /health HTTP/1.1\r", b"\nHost: 127.0.0.1\r", b"\nX: y\n"):
            connection.sendall(piece)
        answer = answer_on(connection)
    assert (answer.status, answer.error) == (400, "malformed_request")
