"""What of a request's headers ComfyUI gets, and what of an answer's the browser.

Neither side sees the other's cookies: browsers keep them by host name, and not by port.
"""

from __future__ import annotations

from collections.abc import Iterable

import h11

from app.remote.gateway.access import OPENING, Access, Headers, bearer, cookies, values

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_FOR_COMFYUI = _HOP_BY_HOP | {b"expect", b"forwarded", b"x-real-ip", b"http2-settings"}
_NOT_FOR_BROWSERS = _HOP_BY_HOP | {
    b"alt-svc",
    b"clear-site-data",  # it would clear the host's cookies for every port
    b"public-key-pins",
    b"service-worker-allowed",
    b"strict-transport-security",
}
_KEPT_ATTRIBUTES = frozenset({"path", "expires", "max-age", "secure", "httponly", "samesite"})
_ADDED = ((b"Cross-Origin-Resource-Policy", b"same-origin"), (b"X-Frame-Options", b"SAMEORIGIN"))


def for_comfyui(request: h11.Request, access: Access, target: bytes) -> h11.Request:
    """The request as it goes on."""
    headers = lowered(request.headers)
    named = _named(headers)
    passed = [
        (raw, value)
        for raw, value in request.headers.raw_items()
        if (name := raw.lower()) not in _NOT_FOR_COMFYUI | named
        and not name.startswith(b"x-forwarded-")
        and not _is_secret(name, value, access)
    ]
    own = _own_cookies(headers, access)
    if own:
        passed.append((b"Cookie", own))
    if values(headers, b"transfer-encoding"):
        passed.append((b"Transfer-Encoding", b"chunked"))
    if is_websocket(request.method, headers):
        passed += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    return h11.Request(method=request.method, target=target, headers=passed)


def for_browser(answer: h11.Response | h11.InformationalResponse, access: Access) -> Headers:
    """The headers of the answer as they go on."""
    headers = lowered(answer.headers)
    switching = answer.status_code == 101
    left_out = _NOT_FOR_BROWSERS | _named(headers)
    if switching or values(headers, b"transfer-encoding"):
        left_out |= {b"content-length"}
    passed = [
        (raw, kept)
        for raw, value in answer.headers.raw_items()
        if raw.lower() not in left_out
        if (kept := value if raw.lower() != b"set-cookie" else renamed_cookie(value, access))
    ]
    if switching:
        return [*passed, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    known = {name.lower() for name, _ in passed}
    return passed + [(name, value) for name, value in _ADDED if name.lower() not in known]


def lowered(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """With plain bytes."""
    return [(bytes(name), bytes(value)) for name, value in headers]


def is_websocket(method: bytes, headers: Headers) -> bool:
    """Whether a request asks for a WebSocket: no other protocol is switched to."""
    upgrades = [value.strip().lower() for value in values(headers, b"upgrade")]
    return method == b"GET" and upgrades == [b"websocket"] and b"upgrade" in _named(headers)


def renamed_cookie(line: bytes, access: Access) -> bytes:
    """A header Set-Cookie under a name of the tunnel's own, for this host name alone; empty for one without a name.

    A cookie without a name could be sent back as one of any name that its value spells."""
    pair, *attributes = line.decode("latin-1").split(";")
    name, equals, value = pair.strip().partition("=")
    if not equals or not name.strip():
        return b""
    kept = [part.strip() for part in attributes if part.partition("=")[0].strip().lower() in _KEPT_ATTRIBUTES]
    return "; ".join([f"{access.cookie_prefix}{name.strip()}={value.strip()}", *kept]).encode("latin-1")


def _own_cookies(headers: Headers, access: Access) -> bytes:
    """The cookies that this tunnel's ComfyUI has set, under their own names."""
    prefix = access.cookie_prefix.encode()
    own = [(name.removeprefix(prefix), value) for name, value in cookies(headers) if name.startswith(prefix)]
    return b"; ".join(b"%s=%s" % pair for pair in own)


def _is_secret(name: bytes, value: bytes, access: Access) -> bool:
    """Whether a header is the tunnel's own matter."""
    if name == b"authorization":
        return access.knows(bearer(value))
    return name == b"cookie" or (name == b"referer" and OPENING.encode() in value)


def _named(headers: Headers) -> frozenset[bytes]:
    """What the headers Connection name: meant for this connection alone."""
    named = {word.strip().lower() for line in values(headers, b"connection") for word in line.split(b",")}
    return frozenset(named - {b"host", b"content-length", b"cookie", b"authorization", b"origin"})
