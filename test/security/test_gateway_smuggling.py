"""What two parsers of HTTP could read differently does not pass through a tunnel, in neither direction."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from test.support.played_comfyui import OK, OpenTunnel, PlayedComfyUi, never, raw, rest_of, tunnel_to

pytestmark = pytest.mark.sshd

CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "no number": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "an odd coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
    "nothing": b"",
    "promises without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40,
}
PLAYS = {f"/{number}": raw(answer, close=True) for number, answer in enumerate(ANSWERS.values())}


@pytest.fixture(scope="module")
def comfyui() -> Iterator[PlayedComfyUi]:
    """Runs on the instance."""
    plays = {
        "/never": never,
        "/cut": raw(CUT, close=True),
        "/chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"),
        "/more": raw(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
        "/both": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        **PLAYS,
    }
    played = PlayedComfyUi(plays)
    yield played
    played.close()


@pytest.fixture(scope="module")
def tunnel(comfyui: PlayedComfyUi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenTunnel]:
    """Leads to it."""
    with tunnel_to(comfyui.port, tmp_path_factory.mktemp("t")) as opened:
        yield opened


CHUNKED = "Transfer-Encoding: chunked"
REQUESTS: dict[str, tuple[tuple[str, ...], bytes]] = {
    "a length and a coding": (("Content-Length: 5", CHUNKED), b"0\r\n\r\n"),
    "two lengths": (("Content-Length: 5", "Content-Length: 6"), b"hello"),
    "a list of lengths": (("Content-Length: 5, 6",), b"hello"),
    "a signed length": (("Content-Length: +5",), b"hello"),
    "two codings": ((CHUNKED, CHUNKED), b"0\r\n\r\n"),
    "a coding in disguise": (("Transfer-Encoding: xchunked",), b"0\r\n\r\n"),
    "a coding of two": (("Transfer-Encoding: identity, chunked",), b"0\r\n\r\n"),
    "a line that goes on": (("X: a", " Transfer-Encoding: chunked"), b""),
    "a space before the colon": (("Content-Length : 5",), b"hello"),
    "a name with a space": (("Content Length: 5",), b"hello"),
    "a lonely carriage return": (("X: a\rContent-Length: 5",), b"hello"),
    "a lonely line feed": (("X: a\nContent-Length: 5",), b"hello"),
    "a zero byte": (("X: a\0b",), b""),
    "a size that is no number": ((CHUNKED,), b"5x\r\nhello\r\n0\r\n\r\n"),
    "a signed size": ((CHUNKED,), b"+5\r\nhello\r\n0\r\n\r\n"),
    "a size with a prefix": ((CHUNKED,), b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk that is longer than its size": ((CHUNKED,), b"5\r\nhelloxx0\r\n\r\n"),
    "a chunk that ends with a line feed": ((CHUNKED,), b"5\r\nhello\n0\r\n\r\n"),
    "a size that ends with a line feed": ((CHUNKED,), b"5\nhello\r\n0\r\n\r\n"),
    "a size without end": ((CHUNKED,), b"1" * 30 + b"\r\nhello\r\n"),
    "an endless size": ((CHUNKED,), b"0" * 300_000),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_could_be_read_in_two_ways_is_refused(tunnel: OpenTunnel, name: str) -> None:
    """What stands behind it is never a request of its own."""
    lines, body = REQUESTS[name]
    answer = tunnel.say(tunnel.head("POST", "/never", *lines) + body + tunnel.head("GET", "/smuggled"))
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "line",
    [
        "GET http://localhost:1/ HTTP/1.1",
        "CONNECT localhost:22 HTTP/1.1",
        "TRACE / HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET /",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "\x16\x03\x01\x02",
    ],
)
def test_a_request_line_that_no_browser_sends_to_comfyui_is_refused(tunnel: OpenTunnel, line: str) -> None:
    rest = f"\r\nHost: localhost:{tunnel.port}\r\nCookie: {tunnel.cookie}\r\n\r\n"
    assert tunnel.say((line + rest).encode()).startswith(b"HTTP/1.1 400 ")


def test_a_head_without_end_is_refused(tunnel: OpenTunnel) -> None:
    assert tunnel.say(tunnel.head("GET", "/", "X: " + "x" * 200_000)).startswith(b"HTTP/1.1 431 ")


def test_no_request_was_ever_smuggled(comfyui: PlayedComfyUi) -> None:
    """After all of those above."""
    assert not [head for head in comfyui.heads if b"smuggled" in head.split(b"\r\n")[0]]


@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=list(ANSWERS))
def test_an_answer_that_is_no_http_is_a_502(tunnel: OpenTunnel, number: int) -> None:
    answer = tunnel.say(tunnel.head("POST", f"/{number}", "Content-Length: 0"))
    assert answer.startswith(b"HTTP/1.1 502 "), answer[:200]
    assert b"comfyui_unreachable" in answer


@pytest.mark.parametrize("target", ["/cut", "/chunks"])
def test_an_answer_that_is_cut_short_is_cut_short_for_the_browser(tunnel: OpenTunnel, target: str) -> None:
    """It is not made to look whole."""
    answer = tunnel.say(tunnel.head("GET", target))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"half" in answer or b"chunked" in answer


def test_an_answer_that_nobody_asked_for_is_not_the_next_request_s(tunnel: OpenTunnel) -> None:
    with tunnel.reach() as here:
        here.sendall(tunnel.head("GET", "/more") + tunnel.head("GET", "/", "Connection: close"))
        answer = rest_of(here)
    assert answer.count(b"\r\n\r\nok") == 2
    assert b"poison" not in answer


def test_an_answer_with_a_length_and_a_coding_gets_one_meaning(tunnel: OpenTunnel) -> None:
    answer = tunnel.say(tunnel.head("GET", "/both", "Connection: close"))
    assert answer.lower().count(b"transfer-encoding") == 1
    assert b"content-length" not in answer.lower()
    assert answer.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")


def test_only_a_websocket_is_switched_to(tunnel: OpenTunnel, comfyui: PlayedComfyUi) -> None:
    """HTTP/2 over an upgrade would carry requests that nobody looks at."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAA")
    assert tunnel.say(tunnel.head("GET", "/", *upgrade)).endswith(b"ok")
    head = comfyui.heads[-1].lower()
    assert b"upgrade" not in head
    assert b"http2-settings" not in head


def test_connection_headers_cannot_take_off_what_guards(tunnel: OpenTunnel, comfyui: PlayedComfyUi) -> None:
    """`Connection: Host` would leave ComfyUI without the header that its own check needs."""
    assert tunnel.say(tunnel.head("GET", "/", "Connection: close, host, x-odd", "X-Odd: 1")).endswith(b"ok")
    head = comfyui.heads[-1].lower()
    assert b"\r\nhost: localhost:" in head
    assert b"x-odd" not in head


def test_the_listener_is_on_loopback_only(tunnel: OpenTunnel) -> None:
    """As it was."""
    with socket.socket() as other:
        other.settimeout(5)
        with pytest.raises(OSError):
            other.connect(("127.0.0.2", tunnel.port))
