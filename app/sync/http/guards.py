"""Who may ask: checks of a request's headers before any route, and of the address that the service listens on.

A web page of another site must not reach a service on this machine: `Host` is checked against DNS rebinding, `Origin`
and `Sec-Fetch-Site` against requests that such a page sends. Another port of the same host is another site: browsers
send cookies to each port, and the ComfyUI of a stranger's machine may be there.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from functools import cache

from app.domain.access import CHOSEN_CHARS, Scope, is_loopback, origin_of
from app.domain.errors import AppError, Unauthorized
from app.domain.host_port import bracketed
from app.settings import InvalidSetting, Settings
from app.sync.access import LOOPBACK_NAMES, Access, bearer_of
from app.sync.http.behind_proxy import DIRECT, Via, advice
from app.sync.http.errors import Forbidden, ReadOnlyToken

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/health", "/health/ready"})
"""What answers without a token."""
SESSION_PATH = "/session"
PAGE_PATHS = frozenset({"/", "/docs", "/favicon.ico"})
STATUS_PATH = "/status"
"""A header with the secret of a link lets somebody in."""
PAGE_FOLDER = "/ui/"
"""Pages are shells that carry nothing where a login is needed: their scripts ask the API, with the session."""
_READING_POSTS = frozenset({"/ssh/install-custom-nodes/progress"})
_TUNNEL = re.compile(r"/tasks/[^/]+/open")
"""Whoever knows its address uses the ComfyUI behind it."""
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[^:\[\]@/\s]+)(?::[0-9]{1,5})?", re.IGNORECASE)


def refusal(method: str, path: str, headers: Mapping[str, str], access: Access, via: Via = DIRECT) -> AppError | None:
    """Why this request is not let in; None when it is. Looks at nothing but what stands in front of a body. `headers`:
    by their usual names, `Sec-Fetch-Site`; Host as the browser sent it. `via`: how the request came here."""
    host, settings = headers.get("Host", ""), access.settings
    for name in (host, via.asked_host) if via.trusted else (host,):
        if not _host_allowed(name, settings):
            return _host_refused(name, via)
    if method == "OPTIONS":
        return None
    if _from_another_site(method, path, headers, settings, via):
        return _site_refused(headers, settings, via)
    if is_open(method, path):
        return None
    return _scope_refused(method, path, headers, access, via)


def _scope_refused(method: str, path: str, headers: Mapping[str, str], access: Access, via: Via) -> AppError | None:
    try:
        identity = access.who(headers, scheme=via.scheme, client=via.client)
    except AppError as exc:  # too many attempts; or the tokens cannot be read, and nobody is let in by them
        return exc
    if identity is None:
        return Unauthorized()
    return None if identity.scope is Scope.ALL or not changes(method, path) else ReadOnlyToken()


def changes(method: str, path: str) -> bool:
    """Whether a token that is for looking only does not do for this."""
    return (method not in SAFE_METHODS and path not in _READING_POSTS) or bool(_TUNNEL.fullmatch(path))


def _host_refused(host: str, via: Via) -> AppError:
    hint = "Use http://127.0.0.1 or http://localhost, or add the name to NODEFERRY_ALLOWED_HOSTS."
    known = _HOST.fullmatch(host)
    if known and (via.claimed or via.trusted):
        how = advice(via, known[1])
        hint = f"If you reach this service through a proxy of your own, set {how}. Else use http://127.0.0.1."
    return Forbidden(
        f"This service does not answer to the host name {host[:100]!r}.", hint=hint, code="host_not_allowed"
    )


def _site_refused(headers: Mapping[str, str], settings: Settings, via: Via) -> AppError:
    host = headers.get("Host", "")
    hint = "Open Nodeferry's own page, or send the request without the headers Origin and Cookie."
    origin = headers.get("Origin", "")[:100]
    site = _HOST.fullmatch(origin.partition("://")[2])
    if site is None or origin_of(origin) in _own_origins(host, settings, via):
        return Forbidden("The request comes from a page of another site.", hint=hint, code="cross_site_request")
    if via.claimed:
        hint = f"If a proxy of your own stands between, set {advice(via, site[1])}."
    elif site[0].lower() == host.lower() or (via.trusted and site[1].lower() == host.lower()):
        hint = f"If {origin} is your own proxy for this service, set NODEFERRY_ALLOWED_ORIGINS={origin}."
    elif site[1].lower() not in LOOPBACK_NAMES:
        hint = (
            "If a proxy of your own stands between, let it pass the header Host on (nginx: proxy_set_header Host "
            f"$http_host), and set NODEFERRY_ALLOWED_HOSTS={site[1]}. Else open Nodeferry's own page."
        )
    message = f"The request comes from a page of another site: of {origin!r}, while it asks {host[:100]!r}."
    return Forbidden(message, hint=hint, code="cross_site_request")


def is_open(method: str, path: str) -> bool:
    """Whether this answers without a token."""
    page = path in PAGE_PATHS or path.startswith(PAGE_FOLDER)
    login = path == SESSION_PATH and method in {"POST", "DELETE"}
    reading = page or path == STATUS_PATH
    return path in OPEN_PATHS or login or (reading and method in SAFE_METHODS)


def check_bind(settings: Settings) -> None:
    """Raises InvalidSetting when others could reach the service and guess its token."""
    if not settings.token or len(settings.token) >= CHOSEN_CHARS or is_loopback(settings.host):
        return
    raise InvalidSetting(
        f"On {settings.host or 'every address'!r} others could guess a token of {len(settings.token)} characters.",
        hint=f"Set NODEFERRY_TOKEN to a random text of at least {CHOSEN_CHARS} characters, or unset it: the first "
        "start then makes a token and shows it. Or use the host 127.0.0.1.",
        field="token",
    )


def _host_allowed(host: str, settings: Settings) -> bool:
    found = _HOST.fullmatch(host)
    if not found:
        return False
    name = found[1].lower()
    return _is_direct(name, settings) or name in {bracketed(other.lower()) for other in settings.allowed_hosts}


def _is_direct(name: str, settings: Settings) -> bool:
    """Whether a host is the service itself, without a proxy. On every address of the machine any address is, and so is
    its own name: the page of a rebound name has that name as its host."""
    if settings.host in _WILDCARDS:
        return name in LOOPBACK_NAMES or _is_address(name) or name in _own_names()
    return name in LOOPBACK_NAMES or name == bracketed(settings.host.lower())


@cache
def _own_names() -> frozenset[str]:
    """What other machines of a network call this one."""
    name = socket.gethostname().lower()
    return frozenset({name, f"{name.partition('.')[0]}.local"}) if name else frozenset()


def _is_address(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False


def _from_another_site(method: str, path: str, headers: Mapping[str, str], settings: Settings, via: Via) -> bool:
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "none")
    if origin is not None and origin_of(origin) not in _own_origins(headers.get("Host", ""), settings, via):
        return path not in OPEN_PATHS
    if method not in SAFE_METHODS:
        by_cookie = origin is None and "Cookie" in headers and not bearer_of(headers)
        return by_cookie or site not in {"same-origin", "none"}
    if site in {"same-origin", "none"} or path in OPEN_PATHS:
        return False
    # a link that a person follows is fine; what a page of others loads could hold every place for a waiting answer
    followed = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest", "document") == "document"
    return not followed


def _own_origins(host: str, settings: Settings, via: Via) -> set[str]:
    """The origins that the service's own page may have: that of the request, and those of the settings. Where a proxy
    does not say whether the browser came by https, both may be, unless the settings name the origins."""
    found = _HOST.fullmatch(host)
    listed = {origin_of(text) for text in settings.allowed_origins}
    if found is None:
        return listed
    if via.scheme:
        return listed | {origin_of(f"{via.scheme}://{host}")}
    if _is_direct(found[1].lower(), settings) and not via.trusted:
        return listed | {origin_of(f"http://{host}")}
    return listed or _usual_origins(host)


def _usual_origins(host: str) -> set[str]:
    return {origin_of(f"{scheme}://{host}") for scheme in ("http", "https")} - {""}
