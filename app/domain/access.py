"""Who may use the service: tokens with a name and a scope, and the origins that its pages have. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

MADE = "ndf_"
"""How a token begins that was made here: 256 random bits follow, which nobody guesses."""
CHOSEN = "NODEFERRY_TOKEN"
"""The name of the token that a person has chosen in the settings."""
CHOSEN_CHARS = 24
"""How long that one must be where others can reach the service."""
COOKIE = "nodeferry-session-"
"""How a session's cookie is called: the port follows, since browsers send cookies to every port of a host."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^:\[\]@/\\\s?#*,]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_USUAL = {"http": "80", "https": "443"}


class Scope(StrEnum):
    """What a token allows."""

    ALL = "all"
    READ_ONLY = "read-only"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. `digest`: `digest_of` the secret; `created_at`: ISO 8601."""

    name: str
    scope: Scope
    digest: str
    created_at: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request. `token`: with which token, None where no login is needed; `expires_at`: the end of the
    session in Unix seconds, None without one."""

    token: Token | None = None
    expires_at: float | None = None

    @property
    def scope(self) -> Scope:
        """What the sender may do."""
        return self.token.scope if self.token else Scope.ALL


def new_secret() -> str:
    """A token's secret."""
    return MADE + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """What is kept of a secret. A fast hash will do: what is kept has 256 random bits, which no search finds."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_token_name(text: str) -> bool:
    """Whether a token may be called so."""
    return bool(_NAME.fullmatch(text)) and text != CHOSEN


def is_loopback(host: str) -> bool:
    """Whether a service on this address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def origin_of(text: str) -> str:
    """An origin as `scheme://host` or `scheme://host:port`, without the usual port; "" for what is none."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return ""
    scheme, host, port = found[1].lower(), found[2].lower(), found[3] or ""
    return f"{scheme}://{host}" if port in {"", _USUAL[scheme]} else f"{scheme}://{host}:{port}"


def cookie_name(host: str, scheme: str) -> str:
    """The name of the session's cookie at this `Host`."""
    port = re.search(r":([0-9]{1,5})$", host)
    return COOKIE + (port[1] if port else _USUAL.get(scheme, "80"))
