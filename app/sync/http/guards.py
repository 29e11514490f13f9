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
from app.sync.http.behind_proxy import DIRECT, Via, advice
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


def refusal(
    method: str, path: str, headers: Mapping[str, str], settings: Settings, via: Via = DIRECT
) -> AppError | None:
    """Why this request is not let in; None when it is. `headers`: by their usual names, `Sec-Fetch-Site`; Host as the
    browser sent it. `via`: how the request came here."""
    host = headers.get("Host", "")
    for name in (host, via.asked_host) if via.trusted else (host,):
        if not _host_allowed(name, settings):
            return _host_refused(name, via)
    if method not in SAFE_METHODS and _from_another_site(headers, host, via):
        return _site_refused(headers, host, via)
    needs_token = settings.token and method != "OPTIONS" and not _open(method, path)
    if needs_token and not _token_matches(headers.get("Authorization", ""), settings.token):
        return Unauthorized()
    return None


def _host_refused(host: str, via: Via) -> AppError:
    hint = "Use http://127.0.0.1 or http://localhost, or add the name to NODEFERRY_ALLOWED_HOSTS."
    known = _HOST.fullmatch(host)
    if known and (via.claimed or via.trusted):
        how = advice(via, known[1])
        hint = f"If you reach this service through a proxy of your own, set {how}. Else use http://127.0.0.1."
    return Forbidden(
        f"This service does not answer to the host name {host[:100]!r}.", hint=hint, code="host_not_allowed"
    )


def _site_refused(headers: Mapping[str, str], host: str, via: Via) -> AppError:
    hint = "Open Nodeferry's own page, or send the request without the header Origin."
    origin = headers.get("Origin", "")[:100]
    site = _HOST.fullmatch(origin.partition("://")[2])
    if site is None or site[0].lower() == host.lower():
        return Forbidden("The request comes from a page of another site.", hint=hint, code="cross_site_request")
    if via.claimed:
        hint = f"If a proxy of your own stands between, set {advice(via, site[1])}."
    elif site[1].lower() not in LOOPBACK_NAMES:
        hint = (
            "If a proxy of your own stands between, let it pass the header Host on (nginx: proxy_set_header Host "
            f"$http_host), and set NODEFERRY_ALLOWED_HOSTS={site[1]}. Else open Nodeferry's own page."
        )
    message = f"The request comes from a page of another site: of {origin!r}, while it asks {host[:100]!r}."
    return Forbidden(message, hint=hint, code="cross_site_request")


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


def is_open_by_proxy(settings: Settings) -> bool:
    """Whether others may reach the service through a proxy without a token: only the proxy can ask for a login then."""
    names = {bracketed(name.lower()) for name in settings.allowed_hosts} - LOOPBACK_NAMES
    return not settings.token and bool(names or settings.trusted_proxies)


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


def _from_another_site(headers: Mapping[str, str], host: str, via: Via) -> bool:
    origin = headers.get("Origin")
    if origin is not None and not _same_site(origin.lower(), host.lower(), via):
        return True
    return headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}


def _same_site(origin: str, host: str, via: Via) -> bool:
    """Whether an origin is the host's. A trusted proxy may name the usual port, or leave out any (nginx's $host)."""
    scheme, _, site = origin.partition("://")
    if site == host:
        return True
    if not via.trusted or not site:
        return False
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    return site == host.removesuffix(usual) or (re.sub(r":\d+$", "", site) == host)


def _token_matches(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode("utf-8"))
    return same and scheme.lower() == "bearer"
