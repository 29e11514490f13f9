"""Who may use a tunnel: whoever knows its capability, from a page of its own or from no page.

The capability stands in the address that Nodeferry's page opens. The first hit puts it into a cookie that no script can
read. Browsers send cookies to every port of a host name, and let any page send requests: so names of the host, origins
and sites are looked at too.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from secrets import token_hex, token_urlsafe

from app.domain.errors import AppError
from app.domain.host_port import bracketed

PREFIX = "nodeferry"
"""How every cookie of Nodeferry's begins, the service's and the tunnels'."""
OPENING = "/nodeferry-open/"
LOOPBACK = ("localhost", "127.0.0.1")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)

Headers = list[tuple[bytes, bytes]]
"""Names in small letters, and values."""


class Refused(AppError):
    """The tunnel to ComfyUI does not pass this request on."""

    code = "forbidden"

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message, code=code)
        self.status = status


class Way(Enum):
    """What is done with a request that is let in."""

    OPEN = "open"
    """The browser gets the cookie."""
    PASS = "pass"  # noqa: S105 - no password
    """ComfyUI answers."""


@dataclass(frozen=True, slots=True)
class Access:
    """One tunnel's. `port`: the local one; `names`: host names of proxies through which it may be reached; `hosts`: the
    names of loopback at which browsers may use it: those that the service's page does not have."""

    port: int
    names: frozenset[str] = frozenset()
    hosts: AbstractSet[str] = frozenset(LOOPBACK)
    capability: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    _mark: str = field(default_factory=lambda: token_hex(4))

    def url(self, page_host: str) -> str:
        """The address to open from a page at this host name. It is a secret."""
        best = hosts_for(page_host)
        host = next(name for name in (*best, *LOOPBACK) if name in self.hosts)
        return f"http://{host}:{self.port}{OPENING}{self.capability}/"

    @property
    def cookie(self) -> str:
        """The name of the cookie that has the capability."""
        return f"{PREFIX}_tunnel_{self.port}"

    @property
    def cookie_prefix(self) -> str:
        """How the browser knows the cookies of this tunnel's ComfyUI. No other tunnel gets them, nor a later one."""
        return f"{PREFIX}_t{self.port}{self._mark}_"

    def judge(self, method: bytes, target: bytes, headers: Headers) -> tuple[Way, bytes]:
        """What is done with a request, and the address that ComfyUI gets. Raises Refused."""
        host = self._checked_host(headers)
        for origin in values(headers, b"origin"):
            if not self._is_own(origin.decode("latin-1").lower(), host):
                raise _cross_site()
        given, rest = _opening(target)
        if given and self.knows(given):
            if not _for_a_program(headers) or rest == b"/":
                _check_navigation(method, headers)
                return Way.OPEN, rest
            return Way.PASS, rest
        if any(site not in {b"same-origin", b"none"} for site in values(headers, b"sec-fetch-site")):
            raise _cross_site()
        if values(headers, b"service-worker"):
            message = "A tunnel serves no service worker: its port may belong to another instance tomorrow."
            raise Refused(403, message, code="service_worker_refused")
        if given or not any(self.knows(text) for text in self._presented(headers)):
            raise Refused(403, "This address leads to a ComfyUI, and opens from Nodeferry only.", code="tunnel_closed")
        return Way.PASS, target

    def knows(self, text: bytes) -> bool:
        """Whether `text` is the capability."""
        return hmac.compare_digest(text, self.capability.encode())

    def _presented(self, headers: Headers) -> Iterator[bytes]:
        """Every capability that a request shows. A page may have set cookies of the same name for paths of its own."""
        yield from (value for name, value in cookies(headers) if name == self.cookie.encode())
        yield from (bearer(value) for value in values(headers, b"authorization"))

    def _checked_host(self, headers: Headers) -> str:
        """The header Host, when it is one of the tunnel's. Raises Refused."""
        hosts = [value.decode("latin-1").lower() for value in values(headers, b"host")]
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found and (self._is_here(found, headers) or bracketed(found[1]) in self.names):
            return hosts[0]
        message = "This tunnel does not answer to that host name."
        raise Refused(403, message, code="host_not_allowed")

    def _is_here(self, found: re.Match[str], headers: Headers) -> bool:
        """Whether a host is the tunnel's port. A program may use either name: it has no page that could be reached."""
        usable = LOOPBACK if _for_a_program(headers) else self.hosts
        return found[1] in usable and found[2] == str(self.port)

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether an origin is the tunnel's, exactly. A proxy, which has a name of its own, may speak https."""
        schemes = ("http",) if host.rpartition(":")[0] in LOOPBACK else ("http", "https")
        return origin in {f"{scheme}://{host}" for scheme in schemes}


def hosts_for(page_host: str) -> tuple[str, ...]:
    """The names of loopback that a tunnel may have for a page at `page_host`: browsers keep cookies by names, not by
    ports."""
    name = page_host.lower()
    if name == "localhost":
        return ("127.0.0.1",)
    return ("localhost",) if name.startswith(("127.", "[")) else LOOPBACK


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Of every header of this name."""
    return [value for known, value in headers if known == name]


def cookies(headers: Headers) -> Iterator[tuple[bytes, bytes]]:
    """The names and values of a request's cookies."""
    for line in values(headers, b"cookie"):
        for pair in line.split(b";"):
            name, _, value = pair.strip().partition(b"=")
            yield name, value


def bearer(authorization: bytes) -> bytes:
    """The token of a header Authorization; empty for another kind."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def mentions(text: bytes, words: Iterable[bytes]) -> bool:
    """Whether one of `words` stands in it."""
    return any(word in text for word in words)


def _opening(target: bytes) -> tuple[bytes, bytes]:
    """The capability in an address, empty for none, and the address behind it."""
    if not target.startswith(OPENING.encode()):
        return b"", target
    given, _, rest = target.removeprefix(OPENING.encode()).partition(b"/")
    return given or b"?", b"/" + rest


def _for_a_program(headers: Headers) -> bool:
    """Whether no browser sent this. A page behind the address would read the capability in it."""
    known = {name for name, _ in headers}
    browser = any(name.startswith(b"sec-fetch-") for name in known) or b"origin" in known
    return not browser and not mentions(b",".join(values(headers, b"accept")), [b"text/html"])


def _check_navigation(method: bytes, headers: Headers) -> None:
    """Only a tab may be led to the address, from wherever. Raises Refused."""
    wanted = {b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"}
    odd = any(value != expected for name, expected in wanted.items() for value in values(headers, name))
    if odd or method not in {b"GET", b"HEAD"}:
        raise _cross_site()


def _cross_site() -> Refused:
    return Refused(403, "The request comes from a page of another site.", code="cross_site_request")
