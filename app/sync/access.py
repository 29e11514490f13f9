"""Who sent a request: a token in `Authorization: Bearer`, or a session that a browser has begun with one."""

from __future__ import annotations

import hmac
import logging
import math
from collections.abc import Mapping

from app.domain.access import (
    CHOSEN,
    CHOSEN_CHARS,
    MADE,
    Identity,
    Scope,
    Token,
    cookie_name,
    digest_of,
    is_loopback,
)
from app.domain.errors import InvalidRequest, TooManyAttempts, Unauthorized
from app.domain.host_port import bracketed
from app.settings import Settings
from app.storage.data_folder import open_documents
from app.storage.documents import Documents
from app.storage.token_file import Tokens
from app.sync.login_attempts import LoginAttempts
from app.sync.sessions import Sessions

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
FIRST = "first"
"""The name of the token that is made at the first start."""
_LOCAL = "this-machine"
_MAX_COOKIES = 8
"""So many cookies of the session's name are looked at: another page of this host may have set one in front."""
_ANYBODY = Identity()
_log = logging.getLogger(__name__)


def is_reached_by_proxy(settings: Settings) -> bool:
    """Whether the settings say that others reach a service on loopback through a proxy."""
    names = {bracketed(name.lower()) for name in settings.allowed_hosts} - LOOPBACK_NAMES
    return bool(names or settings.trusted_proxies)


class Access:
    """Decides who is who. Any thread. `local_secret`: what the command line of the same user logs in with; "" for
    none. `documents`: where tokens and sessions are kept; default: as the settings say."""

    def __init__(self, settings: Settings, local_secret: str = "", documents: Documents | None = None) -> None:
        self.settings = settings
        self.documents = documents or open_documents(settings.data_dir, settings.resolved_database_url)
        self._tokens = Tokens(self.documents)
        self._sessions = Sessions(self.documents, settings.session_seconds)
        self._attempts = LoginAttempts()
        self._local = Token(_LOCAL, Scope.ALL, digest_of(local_secret)) if local_secret else None
        self._chosen = Token(CHOSEN, Scope.ALL, digest_of(settings.token)) if settings.token else None

    def needs_login(self) -> bool:
        """Whether requests need a token: where one was chosen, off loopback, and behind a proxy once one was made."""
        if self._chosen or not is_loopback(self.settings.host):
            return True
        return is_reached_by_proxy(self.settings) and bool(self._tokens.all())

    def lacks_token(self) -> bool:
        """Whether a token is needed and there is none: at the first start. Raises StorageError."""
        return self.needs_login() and not self._chosen and not self._tokens.all()

    def make_first(self) -> str | None:
        """Makes the first token; its secret. None where another process that starts just now has made it. Raises
        StorageError."""
        try:
            return self._tokens.new(FIRST, Scope.ALL)
        except InvalidRequest:
            return None

    def who(self, headers: Mapping[str, str], *, scheme: str, client: str) -> Identity | None:
        """Who sent a request with these headers; None for nobody who is known. Raises TooManyAttempts, StorageError."""
        needed = self.needs_login()
        bearer = bearer_of(headers)
        if bearer and (needed or bearer.startswith(MADE)):
            token = self._token_of(bearer, client)
            return Identity(token) if token else None
        if not needed:
            return _ANYBODY
        ids = session_ids(headers, scheme)
        return self._sessions.find(ids, self._by_name()) if ids else None

    def log_in(self, secret: str, headers: Mapping[str, str], *, scheme: str, client: str) -> tuple[str, Identity]:
        """Begins a session instead of the one that the headers have: its id. Raises Unauthorized, TooManyAttempts,
        StorageError."""
        token = self._token_of(secret, client)
        if token is None or token.name == _LOCAL:
            raise Unauthorized("This token is not known here.")
        made, end = self._sessions.begin(token, session_ids(headers, scheme))
        return made, Identity(token, end)

    def log_out(self, headers: Mapping[str, str], *, scheme: str) -> None:
        """Ends the session that the headers have."""
        self._sessions.end(session_ids(headers, scheme))

    def is_valid(self, identity: Identity) -> bool:
        """Whether the token that somebody came with is still good."""
        token = identity.token
        return token is None or token == self._local or self._by_name().get(token.name) == token

    def _token_of(self, secret: str, client: str) -> Token | None:
        digest = digest_of(secret)
        made = [*self._tokens.all(), *([self._local] if self._local else [])]
        matching = [token for token in made if hmac.compare_digest(token.digest, digest)]
        if matching:
            self._attempts.succeeded(client)
            return matching[0]
        strict = len(self.settings.token) < CHOSEN_CHARS
        looked_at = self._chosen and self._attempts.may_guess(client, strict=strict)
        if self._chosen and looked_at and hmac.compare_digest(self._chosen.digest, digest):
            self._attempts.succeeded(client)
            return self._chosen
        wait = self._attempts.wait(client)
        if wait:
            raise TooManyAttempts(retry_after=math.ceil(wait))
        self._attempts.failed(client, digest)
        _log.warning("login refused: the token is wrong client=%s", client or "-")
        return None

    def _by_name(self) -> dict[str, Token]:
        found = {token.name: token for token in self._tokens.all()}
        return found | ({CHOSEN: self._chosen} if self._chosen else {})


def bearer_of(headers: Mapping[str, str]) -> str:
    """The token in `Authorization: Bearer`; "" for none."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def session_ids(headers: Mapping[str, str], scheme: str) -> list[str]:
    """What the cookies of the session's name say."""
    name = cookie_name(headers.get("Host", ""), scheme)
    pairs = [part.strip().partition("=") for part in headers.get("Cookie", "").split(";")]
    return [value for key, _, value in pairs if key == name and value][:_MAX_COOKIES]
