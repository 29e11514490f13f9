"""HTTP through a tunnel is what it was before: kept connections, bodies of any size, ranges, early answers."""

from __future__ import annotations

import hashlib
import http.client
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from test.support.played_comfyui import OK, OpenTunnel, PlayedComfyUi, raw, rest_of, tunnel_to

pytestmark = pytest.mark.sshd

PIECE = bytes(range(256)) * 4096
PIECES = 60


def lengths(head: bytes) -> int:
    found = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(found[0].split(b":")[1]) if found else -1


def body_of(peer: socket.socket, head: bytes, rest: bytes) -> bytes:
    """The request's body as it came: counted, or up to the last chunk."""
    while (len(rest) < lengths(head)) if lengths(head) >= 0 else not rest.endswith(b"0\r\n\r\n"):
        rest += peer.recv(65536)
    return rest


def echo(peer: socket.socket, head: bytes, rest: bytes) -> None:
    """The request, its head and its body, as the answer."""
    whole = head + body_of(peer, head, rest)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole)


def checksum(peer: socket.socket, head: bytes, rest: bytes) -> None:
    """Of the body."""
    seen, digest = len(rest), hashlib.sha256(rest)
    while seen < lengths(head):
        chunk = peer.recv(1_048_576)
        seen += len(chunk)
        digest.update(chunk)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + digest.hexdigest().encode())


def view(peer: socket.socket, _head: bytes, _rest: bytes) -> None:
    """A big file, in chunks."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(PIECES):
        peer.sendall(b"%x\r\n" % len(PIECE) + PIECE + b"\r\n")
    peer.sendall(b"0\r\n\r\n")


def partial(peer: socket.socket, head: bytes, _rest: bytes) -> None:
    """As aiohttp answers a range."""
    assert b"range: bytes=2-3" in head.lower()
    peer.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/9\r\nContent-Length: 2\r\n\r\ncd")


def refuses_early(peer: socket.socket, _head: bytes, _rest: bytes) -> None:
    """As aiohttp does with a body that is too large: it answers, and reads no more."""
    peer.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    peer.shutdown(socket.SHUT_WR)
    peer.recv(1)


@pytest.fixture(scope="module")
def comfyui() -> Iterator[PlayedComfyUi]:
    """Runs on the instance."""
    plays = {
        "/echo": echo,
        "/checksum": checksum,
        "/view": view,
        "/range": partial,
        "/big": refuses_early,
        "/old": raw(b"HTTP/1.0 200 OK\r\n\r\nuntil the end", close=True),
        "/head": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        "/empty": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "/unchanged": raw(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'),
        "/last": raw(OK, close=True),
    }
    played = PlayedComfyUi(plays)
    yield played
    played.close()


@pytest.fixture(scope="module")
def tunnel(comfyui: PlayedComfyUi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenTunnel]:
    """Leads to it."""
    with tunnel_to(comfyui.port, tmp_path_factory.mktemp("t")) as opened:
        yield opened


@pytest.fixture
def session(tunnel: OpenTunnel) -> Iterator[requests.Session]:
    """A program that has opened the address once."""
    with requests.Session() as fresh:
        assert fresh.get(tunnel.forward.access.url("localhost")).text == "ok"
        yield fresh


def test_one_connection_serves_many_requests_of_every_kind(tunnel: OpenTunnel) -> None:
    """None of them ends it, and ComfyUI sees one connection too."""
    here = http.client.HTTPConnection("localhost", tunnel.port, timeout=20)
    here.connect()
    sock, answers = here.sock, []
    for method, path in [
        ("GET", "/"),
        ("HEAD", "/head"),
        ("DELETE", "/empty"),
        ("GET", "/unchanged"),
        ("POST", "/"),
        ("OPTIONS", "/"),
        ("GET", "/"),
    ]:
        here.request(method, path, headers={"Cookie": tunnel.cookie})
        answer = here.getresponse()
        answers.append((answer.status, answer.read(), answer.headers["Content-Length"]))
        assert here.sock is sock
    here.close()
    ok = (200, b"ok", "2")
    assert answers == [ok, (200, b"", "1000"), (204, b"", None), (304, b"", None), ok, ok, ok]


def test_bodies_pass_with_a_length_and_in_chunks(session: requests.Session, tunnel: OpenTunnel) -> None:
    """Both ways; a query and odd characters of an address are left as they are."""
    address = f"http://localhost:{tunnel.port}/echo?a=%2F..%20&name=%E4%BD%A0"
    counted = session.post(address, data=b"hello").content
    assert counted.startswith(b"POST /echo?a=%2F..%20&name=%E4%BD%A0 HTTP/1.1\r\n")
    assert counted.endswith(b"\r\n\r\nhello")
    chunked = session.post(address, data=iter([b"hel", b"lo"])).content
    assert chunked.endswith(b"\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")


def test_big_files_pass_both_ways_without_being_held(session: requests.Session, tunnel: OpenTunnel) -> None:
    """60 MiB up and down; memory stays what it was."""
    address, whole = f"http://localhost:{tunnel.port}", hashlib.sha256()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(PIECES):
        whole.update(PIECE)

    class Upload:
        """Read in pieces."""

        def __len__(self) -> int:
            return PIECES * len(PIECE)

        def __iter__(self) -> Iterator[bytes]:
            return iter([PIECE] * PIECES)

    sent = session.post(f"{address}/checksum", data=Upload(), headers={"Content-Length": str(PIECES * len(PIECE))})
    assert sent.text == whole.hexdigest()
    fetched, seen = hashlib.sha256(), 0
    with session.get(f"{address}/view", stream=True) as answer:
        for chunk in answer.iter_content(1_048_576):
            fetched.update(chunk)
            seen += len(chunk)
    assert (seen, fetched.hexdigest()) == (PIECES * len(PIECE), whole.hexdigest())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KiB


def test_a_range_is_asked_and_answered(session: requests.Session, tunnel: OpenTunnel) -> None:
    answer = session.get(f"http://localhost:{tunnel.port}/range", headers={"Range": "bytes=2-3"})
    assert (answer.status_code, answer.headers["Content-Range"], answer.text) == (206, "bytes 2-3/9", "cd")


def test_an_answer_without_a_length_ends_with_its_connection(session: requests.Session, tunnel: OpenTunnel) -> None:
    """As HTTP/1.0 has it; a client of HTTP/1.0 gets no chunks."""
    assert session.get(f"http://localhost:{tunnel.port}/old").text == "until the end"
    answer = tunnel.say(tunnel.head("GET", "/old").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.endswith(b"\r\n\r\nuntil the end")


def test_a_program_that_waits_for_100_continue_gets_it(tunnel: OpenTunnel) -> None:
    with tunnel.reach() as here:
        here.sendall(tunnel.head("POST", "/echo", "Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert here.recv(65536) == b"HTTP/1.1 100 \r\n\r\n"
        here.sendall(b"hello")
        assert rest_of(here).endswith(b"hello")


def test_an_answer_that_comes_before_the_body_s_end_arrives(tunnel: OpenTunnel) -> None:
    """ComfyUI refuses a large upload so."""
    with tunnel.reach() as here:
        here.sendall(tunnel.head("POST", "/big", "Content-Length: 1000000000"))
        stop = threading.Event()

        def upload() -> None:
            while not stop.is_set():
                try:
                    here.send(bytes(65536))
                except OSError:
                    return

        with ThreadPoolExecutor(1) as pool:
            pool.submit(upload)
            try:
                assert rest_of(here).endswith(b"\r\n\r\nbig")
            finally:
                stop.set()


def test_a_kept_connection_outlives_the_end_of_comfyui_s(tunnel: OpenTunnel) -> None:
    """ComfyUI closes kept connections at its own time; the browser notices nothing."""
    here = http.client.HTTPConnection("localhost", tunnel.port, timeout=20)
    for path in ("/last", "/last", "/", "/last", "/echo"):
        here.request(
            "POST" if path == "/echo" else "GET", path, body=b"x" * (path == "/echo"), headers={"Cookie": tunnel.cookie}
        )
        assert here.getresponse().read()
    here.close()


def test_requests_that_come_together_are_answered_in_their_order(tunnel: OpenTunnel) -> None:
    many = b"".join(tunnel.head("GET", f"/echo?{number}", "Content-Length: 0") for number in range(20))
    answer = tunnel.say(many + tunnel.head("GET", "/", "Connection: close"))
    assert [answer.find(f"GET /echo?{number} ".encode()) > 0 for number in range(20)] == [True] * 20
    assert answer.count(b"HTTP/1.1 200") == 21
