"""The service behind a reverse proxy: a request as the browser sent it, whichever way the proxy passes it on.

With a path prefix the proxy may strip it or not: both arrive at the same route, and every address that is made has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.domain.forwarded import HEADERS, is_trusted, networks_of, passed
from app.settings import Settings

Wsgi = Callable[..., Iterable[bytes]]
_VIA = "nodeferry.via"


@dataclass(frozen=True, slots=True)
class Via:
    """How a request came. `peer`: who has sent it here. `trusted`: a proxy of the settings. `asked_host`: the header
    Host as it came, before what the proxy says. `claimed`: which headers of proxies it has that are not believed;
    `claimed_host`: the host in them. `client`: who asks, as far as is believed. `scheme`: as the
    browser has it, "" where no trusted proxy says so."""

    peer: str = ""
    trusted: bool = False
    asked_host: str = ""
    claimed: tuple[str, ...] = ()
    claimed_host: str = ""
    client: str = ""
    scheme: str = ""


DIRECT = Via()
_KEYS = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in HEADERS}
"""What WSGI calls them."""


class Proxies:
    """The proxies in front of a service, and what they make of a request."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = networks_of(settings.trusted_proxies)
        self._prefix = settings.path_prefix

    def trust(self, address: str) -> bool:
        """Whether this is one of them."""
        return is_trusted(address, self._trusted)

    def as_sent(self, environ: dict[str, Any]) -> str | None:
        """Makes a request's environment what it would be without the proxy. Another address, where the browser has to
        go first."""
        peer = str(environ.get("REMOTE_ADDR") or "")
        given = {name: str(environ.pop(key, "")).strip() for name, key in _KEYS.items()}
        headers = {name: value for name, value in given.items() if value}
        found = passed(peer, headers, self._trusted)
        trusted = self.trust(peer)
        asked_host = str(environ.get("HTTP_HOST", ""))
        claimed_host = "" if trusted else headers.get("X-Forwarded-Host", "").partition(",")[0].strip()[:100]
        claimed = () if trusted else tuple(headers)
        environ[_VIA] = Via(peer, trusted, asked_host, claimed, claimed_host, client=found.client, scheme=found.scheme)
        environ["REMOTE_ADDR"] = found.client
        if found.host:
            environ["HTTP_HOST"] = found.host
        if found.scheme:
            environ["wsgi.url_scheme"] = found.scheme
        prefix = self._prefix or found.prefix
        if prefix and not self._strip(environ, prefix):
            query = environ.get("QUERY_STRING")
            return f"{quote(prefix)}/{'?' + query if query else ''}"
        return None

    @staticmethod
    def _strip(environ: dict[str, Any], prefix: str) -> bool:
        """Names the prefix as WSGI does; False for the prefix alone, whose relative addresses would lead elsewhere."""
        path = str(environ.get("PATH_INFO", ""))
        if path == prefix:
            return False
        environ["SCRIPT_NAME"] = prefix
        if path.startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path[len(prefix) :]
        return True


class BehindProxy:
    """WSGI: makes the environment of each request what it would be without the proxy."""

    def __init__(self, app: Wsgi, settings: Settings) -> None:
        self._app = app
        self._proxies = Proxies(settings)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers one request."""
        place = self._proxies.as_sent(environ)
        if place is None:
            return self._app(environ, start_response)
        start_response("308 Permanent Redirect", [("Location", place), ("Content-Length", "0")])
        return [b""]


def via_of(environ: Mapping[str, Any]) -> Via:
    """How a request came."""
    found: Via = environ.get(_VIA, DIRECT)
    return found


def advice(via: Via, host: str) -> str:
    """What to set where a proxy stands between, as far as the request tells. `host`: the name that the browser has."""
    settings = [f"NODEFERRY_TRUSTED_PROXIES={via.peer}"] if via.claimed and via.peer else []
    if host:
        settings.append(f"NODEFERRY_ALLOWED_HOSTS={host}")
    return " and ".join(settings)
