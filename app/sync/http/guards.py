"""Who may ask: checks of a request's headers before any route, and of the address that the service listens on.

A web page of another site must not reach a service on this machine: `Host` is checked against DNS rebinding, `Origin`
and `Sec-Fetch-Site` against requests that such a page sends.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping

from app.domain.errors import AppError
from app.domain.host_port import bracketed
from app.settings import InvalidSetting, Settings
from app.sync.http.errors import Forbidden, Unauthorized

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/health", "/health/ready"})
"""What answers without a token."""
PAGE_PATHS = frozenset({"/", "/docs", "/favicon.ico"})
PAGE_FOLDER = "/ui/"
"""Pages are shells that carry nothing where a token is set: their scripts ask the API, with the token."""
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[^:\[\]@/\s]+)(?::[0-9]{1,5})?", re.IGNORECASE)


def refusal(method: str, path: str, headers: Mapping[str, str], settings: Settings) -> AppError | None:
    """Why this request is not let in; None when it is. `headers`: by their usual names, `Sec-Fetch-Site`."""
    host = headers.get("Host", "")
    if not _host_allowed(host, settings):
        return Forbidden(
            f"This service does not answer to the host name {host[:100]!r}.",
            hint="Use http://127.0.0.1 or http://localhost, or add the name to NODEFERRY_ALLOWED_HOSTS.",
            code="host_not_allowed",
        )
    if method not in SAFE_METHODS and _from_another_site(headers, host):
        return Forbidden(
            "The request comes from a page of another site.",
            hint="Open Nodeferry's own page, or send the request without the header Origin.",
            code="cross_site_request",
        )
    needs_token = settings.token and method != "OPTIONS" and not _open(method, path)
    if needs_token and not _token_matches(headers.get("Authorization", ""), settings.token):
        return Unauthorized()
    return None


def _open(method: str, path: str) -> bool:
    page = path in PAGE_PATHS or path.startswith(PAGE_FOLDER)
    return path in OPEN_PATHS or (page and method in SAFE_METHODS)


def check_bind(settings: Settings) -> None:
    """Raises InvalidSetting when the service would be open to others without a token."""
    if settings.token or _is_loopback(settings.host):
        return
    raise InvalidSetting(
        f"On {settings.host or 'every address'!r} others could use your instances, and no token is set.",
        hint="Set NODEFERRY_TOKEN to a long random text, or use the host 127.0.0.1.",
        field="token",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_allowed(host: str, settings: Settings) -> bool:
    found = _HOST.fullmatch(host)
    if not found:
        return False
    listening = () if settings.host in _WILDCARDS else (settings.host,)
    named = {bracketed(name.lower()) for name in (*settings.allowed_hosts, *listening)}
    return found.group(1).lower() in LOOPBACK_NAMES | named


def _from_another_site(headers: Mapping[str, str], host: str) -> bool:
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return True
    return headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}


def _token_matches(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode("utf-8"))
    return same and scheme.lower() == "bearer"
