"""The tunnel to a ComfyUI lets in who has its capability, from its own pages, and nobody else; cookies stay apart."""

from __future__ import annotations

import errno
import logging
import re
import socket
from collections.abc import Iterator

import pytest

from app.remote.gateway.access import Access
from app.remote.gateway.headers import renamed_cookie
from test.support.played_comfyui import OpenTunnel, PlayedComfyUi, raw, tunnel_to

pytestmark = pytest.mark.sshd

HOSTILE_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Set-Cookie: nodeferry-session-5000=evil; Domain=localhost; Path=/; HttpOnly\r\n"
    b"set-cookie: =nodeferry-session-5000=evil\r\n"
    b"Set-Cookie: nodeferry-session-5000\r\n"
    b"Set-Cookie: session=mine; Path=/; Max-Age=60; Partitioned\r\n"
    b'Clear-Site-Data: "*"\r\nStrict-Transport-Security: max-age=9\r\nAlt-Svc: h2="evil.example:443"\r\n'
    b"Service-Worker-Allowed: /\r\n\r\nok"
)


@pytest.fixture(scope="module")
def comfyui() -> Iterator[PlayedComfyUi]:
    """Runs on the instance."""
    played = PlayedComfyUi({"/hostile": raw(HOSTILE_ANSWER)})
    yield played
    played.close()


@pytest.fixture(scope="module")
def tunnel(comfyui: PlayedComfyUi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenTunnel]:
    """Leads to it."""
    with tunnel_to(comfyui.port, tmp_path_factory.mktemp("t"), names=frozenset({"gpu.example"})) as opened:
        yield opened


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def asked(tunnel: OpenTunnel, *lines: str) -> bytes:
    """The answer to a request of these lines; PORT, COOKIE and CAPABILITY stand for the tunnel's."""
    text = "\r\n".join([*lines, "Connection: close", "", ""])
    for word, value in (("PORT", tunnel.port), ("COOKIE", tunnel.cookie), ("CAPABILITY", tunnel.capability)):
        text = text.replace(word, str(value))
    return tunnel.say(text.encode("latin-1"))


GET, HOST, COOKIE = "GET / HTTP/1.1", "Host: localhost:PORT", "Cookie: COOKIE"
WEBSOCKET = ("GET /ws HTTP/1.1", HOST, COOKIE, "Connection: Upgrade", "Upgrade: websocket")
OPENING = "GET /nodeferry-open/CAPABILITY/ HTTP/1.1"

REFUSED = {
    "no capability": ("tunnel_closed", GET, HOST),
    "a wrong cookie": ("tunnel_closed", GET, HOST, f"Cookie: nodeferry_tunnel_PORT={'A' * 43}"),
    "a wrong bearer": ("tunnel_closed", GET, HOST, f"Authorization: Bearer {'A' * 43}"),
    "a wrong address": ("tunnel_closed", f"GET /nodeferry-open/{'A' * 43}/ HTTP/1.1", HOST),
    "an empty address, with the cookie": ("tunnel_closed", "GET /nodeferry-open/ HTTP/1.1", HOST, COOKIE),
    "a rebound name": ("host_not_allowed", GET, "Host: evil.example:PORT", COOKIE),
    "a name that begins as ours": ("host_not_allowed", GET, "Host: localhost.evil.example:PORT", COOKIE),
    "another port": ("host_not_allowed", GET, "Host: localhost:1", COOKIE),
    "no port": ("host_not_allowed", GET, "Host: localhost", COOKIE),
    "a browser at the service's own name": (
        "host_not_allowed",
        *(GET, "Host: 127.0.0.1:PORT", COOKIE, "Sec-Fetch-Site: none"),
    ),
    "a page at the service's own name": (
        "host_not_allowed",
        *(OPENING, "Host: 127.0.0.1:PORT", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ),
    "HTTP/1.0 without a host": ("host_not_allowed", "GET / HTTP/1.0", COOKIE),
    "another site": ("cross_site_request", GET, HOST, COOKIE, "Origin: https://evil.example"),
    "a sandboxed page": ("cross_site_request", GET, HOST, COOKIE, "Origin: null"),
    "the page of another port": ("cross_site_request", GET, HOST, COOKIE, "Origin: http://localhost:5000"),
    "the same place over https": ("cross_site_request", GET, HOST, COOKIE, "Origin: https://localhost:PORT"),
    "the other name": ("cross_site_request", GET, HOST, COOKIE, "Origin: http://127.0.0.1:PORT"),
    "two origins": ("cross_site_request", GET, HOST, COOKIE, "Origin: http://localhost:PORT", "Origin: http://a"),
    "a picture in another site": ("cross_site_request", GET, HOST, COOKIE, "Sec-Fetch-Site: cross-site"),
    "a picture in another port's page": ("cross_site_request", GET, HOST, COOKIE, "Sec-Fetch-Site: same-site"),
    "a link from elsewhere to ComfyUI": (
        "cross_site_request",
        "GET /manager/reboot HTTP/1.1",
        *(HOST, COOKIE, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ),
    "a frame around the opening": ("cross_site_request", OPENING, HOST, "Sec-Fetch-Dest: iframe"),
    "a script that fetches the opening": ("cross_site_request", OPENING, HOST, "Sec-Fetch-Mode: no-cors"),
    "a form to the opening": ("cross_site_request", OPENING.replace("GET", "POST"), HOST, "Sec-Fetch-Mode: navigate"),
    "a WebSocket of another site": ("cross_site_request", *WEBSOCKET, "Origin: https://evil.example"),
    "a WebSocket of the service's page": ("cross_site_request", *WEBSOCKET, "Origin: http://127.0.0.1:5000"),
    "a service worker": ("service_worker_refused", "GET /sw.js HTTP/1.1", HOST, COOKIE, "Service-Worker: script"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_who_has_no_capability_or_comes_from_elsewhere_is_refused(
    tunnel: OpenTunnel, comfyui: PlayedComfyUi, name: str
) -> None:
    """And nothing of it reaches ComfyUI."""
    code, *lines = REFUSED[name]
    before = len(comfyui.heads)
    answer = asked(tunnel, *lines)
    assert (status(answer), code.encode() in answer) == (403, True), answer
    assert tunnel.capability.encode() not in answer
    assert len(comfyui.heads) == before


LET_IN = {
    "the cookie": (GET, HOST, COOKIE),
    "a program at the other name": (GET, "Host: 127.0.0.1:PORT", COOKIE),
    "a bearer": (GET, HOST, "Authorization: Bearer CAPABILITY"),
    "a program below the address": ("POST /nodeferry-open/CAPABILITY/prompt HTTP/1.1", HOST, "Content-Length: 0"),
    "its own page": (GET, HOST, COOKIE, "Origin: http://localhost:PORT", "Sec-Fetch-Site: same-origin"),
    "an address that was typed": (GET, HOST, COOKIE, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"),
    "a proxy's name": (GET, "Host: gpu.example", COOKIE, "Origin: https://gpu.example"),
    "a cookie that a page has put before ours": (GET, HOST, "Cookie: nodeferry_tunnel_PORT=evil; COOKIE"),
}


@pytest.mark.parametrize("name", LET_IN)
def test_who_has_the_capability_is_let_in_and_comfyui_never_learns_it(
    tunnel: OpenTunnel, comfyui: PlayedComfyUi, name: str
) -> None:
    before = len(comfyui.heads)
    referer = "Referer: http://localhost:PORT/nodeferry-open/CAPABILITY/"
    assert status(asked(tunnel, *LET_IN[name], referer)) == 200
    assert len(comfyui.heads) == before + 1
    assert tunnel.capability.encode() not in comfyui.heads[-1]
    assert b"nodeferry" not in comfyui.heads[-1].lower()


def test_a_browser_gets_a_cookie_that_scripts_and_other_sites_cannot_use(tunnel: OpenTunnel) -> None:
    """The page that brings it leads on by a navigation of its own, is not framed, kept or named as a referrer."""
    from_the_page = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    answer = asked(tunnel, OPENING, HOST, "Accept: text/html,*/*", *from_the_page)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status(answer) == 200
    assert f"Set-Cookie: {tunnel.cookie}; Path=/; HttpOnly; SameSite=Strict".encode() in head
    for line in (b"Referrer-Policy: no-referrer", b"Cache-Control: no-store", b"frame-ancestors 'none'"):
        assert line in head
    assert b'history.replaceState(null, "", "../../")' in body
    assert tunnel.capability.encode() not in body


def test_a_refusal_of_a_head_request_has_no_body(tunnel: OpenTunnel) -> None:
    answer = asked(tunnel, "HEAD / HTTP/1.1", HOST, "Accept: text/html")
    assert (status(answer), answer.partition(b"\r\n\r\n")[2]) == (403, b"")


def test_a_program_is_redirected_with_the_cookie(tunnel: OpenTunnel) -> None:
    answer = asked(tunnel, OPENING, HOST, "Accept: */*")
    assert status(answer) == 303
    assert b"\r\nLocation: ../../\r\n" in answer
    assert f"Set-Cookie: {tunnel.cookie};".encode() in answer


def test_comfyui_gets_no_cookie_but_its_own(tunnel: OpenTunnel, comfyui: PlayedComfyUi) -> None:
    """Browsers send to a port what every other port of its host name has set."""
    own = tunnel.forward.access.cookie_prefix
    cookies = f"nodeferry-session-5000=secret; {own}session=mine; username-localhost-8888=jupyter; {tunnel.cookie}"
    later = Access(tunnel.port)
    asked(tunnel, GET, HOST, f"Cookie: {cookies}", f"Cookie: {later.cookie_prefix}session=of-a-later-tunnel")
    assert re.findall(rb"cookie: (.*)\r\n", comfyui.heads[-1], re.IGNORECASE) == [b"session=mine"]


def test_comfyui_sets_no_cookie_of_another_port_and_clears_nothing(tunnel: OpenTunnel) -> None:
    answer = asked(tunnel, "GET /hostile HTTP/1.1", HOST, COOKIE)
    own = tunnel.forward.access.cookie_prefix
    assert re.findall(rb"set-cookie: (.*)\r\n", answer, re.IGNORECASE) == [
        f"{own}nodeferry-session-5000=evil; Path=/; HttpOnly".encode(),
        f"{own}session=mine; Path=/; Max-Age=60".encode(),
    ]
    for name in (b"clear-site-data", b"strict-transport", b"alt-svc", b"service-worker-allowed"):
        assert name not in answer.lower()
    assert b"Cross-Origin-Resource-Policy: same-origin" in answer
    assert b"X-Frame-Options: SAMEORIGIN" in answer


@pytest.mark.parametrize(
    "line", [b"a=b; domain=localhost", b"a=b;DOMAIN=.localhost", b"a=b ; Domain", b"a=b;Domain=x;domain=localhost"]
)
def test_a_cookie_is_for_one_host_name(line: bytes) -> None:
    """However Domain is written."""
    access = Access(1)
    assert renamed_cookie(line, access) == f"{access.cookie_prefix}a=b".encode()


def test_the_capability_is_long_and_stands_in_no_log(tunnel: OpenTunnel, caplog: pytest.LogCaptureFixture) -> None:
    """256 bits, another for each tunnel."""
    caplog.set_level(logging.DEBUG)
    asked(tunnel, OPENING, HOST)
    asked(tunnel, GET, HOST, COOKIE)
    assert len(tunnel.capability) >= 43
    assert Access(1).capability != Access(1).capability
    assert tunnel.capability not in caplog.text
    assert tunnel.capability not in repr(tunnel.forward.access)


def test_a_neighbour_cannot_listen_at_the_other_loopback_address(tunnel: OpenTunnel) -> None:
    """`localhost` may mean ::1: whoever listened there would get the capability."""
    with socket.socket(socket.AF_INET6) as neighbour:
        neighbour.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError) as refused:
            neighbour.bind(("::1", tunnel.port))
    assert refused.value.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
