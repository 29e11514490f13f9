"""Bodies that nobody should read: of requests that are not let in, too long, or ambiguous."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from test.support.raw_http import HOST, answer_on, ask, connect, head_of, is_answered
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

TOKEN = "a long random text, of more than 24 letters"
START = "/ssh/install-custom-nodes"
MIB = 1024 * 1024
LET_IN = f"Authorization: Bearer {TOKEN}"
JSON = "Content-Type: application/json"
EXPECT = "Expect: 100-continue"
LENGTH = f"Content-Length: {1024 * MIB}"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service with a token."""
    with ServiceProcess(tmp_path_factory.mktemp("bodies"), token=TOKEN) as running:
        running.authorize(TOKEN)
        yield running


@pytest.mark.parametrize("more", [(LENGTH,), (LENGTH, EXPECT), (CHUNKED,), (CHUNKED, EXPECT), ("Content-Length: 2",)])
@pytest.mark.parametrize(
    ("lines", "host", "refused"),
    [
        ((LET_IN,), "Host: evil.example\r\n", (403, "host_not_allowed")),
        ((LET_IN,), "Host:\r\n", (403, "host_not_allowed")),
        ((LET_IN, "Origin: http://evil.example"), HOST, (403, "cross_site_request")),
        ((LET_IN, "Sec-Fetch-Site: cross-site"), HOST, (403, "cross_site_request")),
        ((), HOST, (401, "unauthorized")),
        (("Authorization: Bearer of a wrong token",), HOST, (401, "unauthorized")),
    ],
    ids=["host", "no host", "origin", "site", "no token", "wrong token"],
)
def test_who_is_not_let_in_is_answered_before_the_body(
    service: ServiceProcess, lines: tuple[str, ...], host: str, refused: tuple[int, str], more: tuple[str, ...]
) -> None:
    """Not a byte of it is sent here, and the client is never asked to go on."""
    answer = ask(service.url, head_of("POST", START, *lines, JSON, *more, host=host))
    assert (answer.status, answer.error) == refused
    assert "Connection: close" in answer.head


@pytest.mark.parametrize("expect", [(), (EXPECT,)], ids=["at once", "asks first"])
@pytest.mark.parametrize(
    ("path", "length"),
    [
        (START, MIB + 1),
        (START, 1 << 62),
        ("/fleet/install-custom-nodes", 1 << 30),
        ("/ssh/test", 64 * 1024 + 1),
        ("/nowhere", 1 << 30),
    ],
)
def test_a_body_that_is_too_long_is_refused_by_its_length(
    service: ServiceProcess, path: str, length: int, expect: tuple[str, ...]
) -> None:
    """By the route's own limit."""
    answer = ask(service.url, head_of("POST", path, LET_IN, JSON, f"Content-Length: {length}", *expect))
    assert (answer.status, answer.error) == (413, "body_too_large")


@pytest.mark.parametrize(("path", "limit"), [(START, MIB), ("/ssh/test", 64 * 1024)])
@pytest.mark.parametrize("chunks", ["large", "of a byte", "no end of a size"])
def test_a_body_of_unknown_length_is_refused_while_it_is_read(
    service: ServiceProcess, path: str, limit: int, chunks: str
) -> None:
    """At the first byte too many, and where its chunks cost much more than they bring; its end is never sent."""
    body = {
        "large": b"%x\r\n%b" % (1 << 30, b"x" * (limit + 1)),
        "of a byte": b"1\r\nx\r\n" * 8000,
        "no end of a size": b"1" * 20_000,
    }[chunks]
    answer = ask(service.url, head_of("POST", path, LET_IN, JSON, CHUNKED) + body)
    assert (answer.status, answer.error) == (
        (413, "body_too_large") if chunks == "large" else (400, "malformed_request")
    )


@pytest.mark.parametrize("way", ["length", "chunks", "asks first"])
def test_a_body_of_just_the_limit_is_read(service: ServiceProcess, way: str) -> None:
    """However it comes: it is refused for what it says."""
    text = b'{"ssh_connection": "' + b"a" * (MIB - 22) + b'"}'
    assert len(text) == MIB
    lines = [LET_IN, JSON, "Connection: close", CHUNKED if way == "chunks" else f"Content-Length: {MIB}"]
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (MIB, text) if way == "chunks" else text
    with connect(service.url) as connection:
        if way == "asks first":
            connection.sendall(head_of("POST", START, *lines, EXPECT))
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        else:
            connection.sendall(head_of("POST", START, *lines))
        connection.sendall(body)
        answer = answer_on(connection)
    assert (answer.status, answer.error) == (400, "invalid_address")


@pytest.mark.parametrize(
    ("lines", "status", "error"),
    [
        (("Content-Length: 4", CHUNKED), 400, "malformed_request"),
        ((CHUNKED, "Content-Length: 4"), 400, "malformed_request"),
        (("Content-Length: 4", "Content-Length: 5"), 400, "malformed_request"),
        (("Content-Length: +4",), 400, "malformed_request"),
        (("Content-Length: -4",), 400, "malformed_request"),
        ((f"Content-Length: {'9' * 5000}",), 400, "malformed_request"),
        (("Transfer-Encoding: chunked, chunked",), 400, "malformed_request"),
        ((CHUNKED, CHUNKED), 400, "malformed_request"),
        (("Transfer-Encoding: xchunked",), 501, "encoding_not_supported"),
        (("Transfer-Encoding: gzip, chunked",), 501, "encoding_not_supported"),
        ((f"Cookie: {'x' * 70_000}",), 431, "head_too_large"),
        (("no header at all",), 400, "malformed_request"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    service: ServiceProcess, lines: tuple[str, ...], status: int, error: str
) -> None:
    """In the one shape that every error has, and what follows is not read as another request."""
    second = head_of("POST", "/tasks/prune", LET_IN, JSON, "Content-Length: 0")
    request = head_of("POST", START, LET_IN, JSON, *lines) + b"0\r\n\r\n" + second
    answer = ask(service.url, request)
    assert (answer.status, answer.error) == (status, error)
    assert answer.json["success"] is False and set(answer.json) == {"success", "error", "message", "hint"}
    assert answer.body.count(b"success") == 1


def test_an_encoding_in_http_1_0_is_refused(service: ServiceProcess) -> None:
    """There it has no meaning, so that a proxy may read the body in another way."""
    request = head_of("POST", START, LET_IN, JSON, CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert ask(service.url, request + b"0\r\n\r\n").status == 400


def test_no_body_is_written_to_a_file_and_only_some_large_ones_arrive_at_once(tmp_path: Path) -> None:
    """Of 80 that stop before their end the first make room; memory stays within bounds, and others are answered."""
    with ServiceProcess(tmp_path) as service, ExitStack() as stack:
        before = _megabytes(service.pid)
        connections = []
        for _ in range(80):
            connection = stack.enter_context(connect(service.url))
            connection.sendall(head_of("POST", START, JSON, f"Content-Length: {MIB}") + b" " * (MIB - 1))
            connections.append(connection)
        wait_until(lambda: sum(map(is_answered, connections)) >= 16, 50, "16 are refused")
        refused = [connection for connection in connections if is_answered(connection)]
        assert len(refused) == 16  # the first whose bodies arrive, which need not be the first that are sent
        for connection in refused:
            connection.settimeout(60)
            answer = answer_on(connection)
            assert (answer.status, answer.error) == (503, "service_busy")
        assert service.get("/health")["success"]
        files = [_target(link) for link in Path(f"/proc/{service.pid}/fd").iterdir()]
        assert not [name for name in files if "(deleted)" in name or ("/tmp" in name and "service" not in name)]
        assert _megabytes(service.pid) - before < 200


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def _megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"], ids=["asks first", "at once"])
@pytest.mark.parametrize(("header", "refused"), [(LET_IN, (413, "body_too_large")), ("X: y", (401, "unauthorized"))])
def test_curl_shows_why_a_large_body_was_refused(
    service: ServiceProcess, tmp_path: Path, header: str, refused: tuple[int, str], expect: str
) -> None:
    """Whether it asks before it sends or not."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("no curl")
    (tmp_path / "body").write_bytes(b"x" * 8 * MIB)
    command = [program, "-sS", "-w", "\n%{http_code} %{size_upload}", "-H", header, "-H", JSON, "-H", expect]
    command += ["--data-binary", f"@{tmp_path / 'body'}", service.url + START]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    body, _, figures = done.stdout.rpartition("\n")
    assert done.returncode == 0, done.stderr
    assert f'"error":"{refused[1]}"' in body and figures.split()[0] == str(refused[0])
    if expect != "Expect:":
        assert figures.split()[1] == "0"


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 413), ("of somebody else", 401)])
def test_a_library_that_sends_first_and_reads_then_sees_the_answer(
    service: ServiceProcess, token: str, status: int
) -> None:
    """What still comes is read and thrown away, so that the system does not throw the answer away."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for _ in range(5):
        answer = requests.post(service.url + START, data=b"x" * 8 * MIB, headers=headers, timeout=60)
        assert answer.status_code == status
