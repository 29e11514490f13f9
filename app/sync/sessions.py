"""The sessions of browsers that have logged in. A restart of the service keeps them: the document `sessions.json`,
where their ids are hashed. A session ends with its time, with its token, and when its browser logs out."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass

from app.domain.access import Identity, Token, digest_of
from app.protocol.json_fields import loads_bounded
from app.storage.documents import Documents
from app.storage.errors import StorageError
from app.storage.private_file import MAX_BYTES

FILE_NAME = "sessions.json"
MAX_SESSIONS = 500
"""With more the oldest ends."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Session:
    """`token`: the name of the one that it was begun with; `bound`: shows that it is still that very token, and tells
    nothing of it to who reads the file."""

    token: str
    bound: str
    expires_at: float


class Sessions:
    """Any thread."""

    def __init__(
        self, documents: Documents, seconds: float, clock: Callable[[], float] = time.time, *, most: int = MAX_SESSIONS
    ) -> None:
        self._documents = documents
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._version: Hashable | None = None
        self._sessions: dict[str, _Session] = {} if documents.is_common else _read_first(documents)

    def begin(self, token: Token, instead_of: Sequence[str] = ()) -> tuple[str, float]:
        """A new session's id, and its end in Unix seconds. `instead_of`: ids that end now. Raises StorageError."""
        made, end = secrets.token_urlsafe(32), self._clock() + self._seconds
        ended = {digest_of(old) for old in instead_of}

        def with_new(known: dict[str, _Session]) -> dict[str, _Session]:
            left = {key: session for key, session in known.items() if key not in ended}
            return self._cleaned(left | {digest_of(made): _Session(token.name, _bound(made, token), end)})

        self._change(with_new)
        return made, end

    def find(self, ids: Sequence[str], tokens: Mapping[str, Token]) -> Identity | None:
        """Whose session the first of these ids is that is still good. `tokens`: those there are, by name. Raises
        StorageError."""
        known = self._known()
        for given in ids:
            session = known.get(digest_of(given))
            token = tokens.get(session.token) if session else None
            if session is None or token is None or session.expires_at <= self._clock():
                continue
            if hmac.compare_digest(session.bound, _bound(given, token)):
                return Identity(token, session.expires_at)
        return None

    def end(self, ids: Sequence[str]) -> None:
        """These end now. Raises StorageError."""
        ended = {digest_of(given) for given in ids}

        def without(known: dict[str, _Session]) -> dict[str, _Session]:
            left = {key: session for key, session in known.items() if key not in ended}
            return left if len(left) < len(known) else known

        self._change(without)

    def _known(self) -> Mapping[str, _Session]:
        """By their hashed ids. Where other processes begin and end them too, those that there are now."""
        if self._documents.is_common:
            version = self._documents.version(FILE_NAME)
            with self._lock:
                if version != self._version:
                    self._sessions = _read(self._documents.read(FILE_NAME))
                    self._version = version
        return self._sessions

    def _change(self, changed: Callable[[dict[str, _Session]], dict[str, _Session]]) -> None:
        if self._documents.is_common:
            self._documents.change(FILE_NAME, lambda content: _new_content(_read(content), changed))
            return
        with self._lock:
            known, self._sessions = self._sessions, changed(self._sessions)
            if self._sessions is not known:
                self._write()

    def _cleaned(self, sessions: dict[str, _Session]) -> dict[str, _Session]:
        now = self._clock()
        kept = [(key, session) for key, session in sessions.items() if session.expires_at > now]
        return dict(kept[-self._most :])

    def _write(self) -> None:
        try:
            self._documents.write(FILE_NAME, _content(self._sessions))
        except StorageError as exc:  # they are good until the service ends
            _log.warning("sessions are not kept: %s", exc.message)


def _content(sessions: Mapping[str, _Session]) -> bytes:
    return json.dumps({key: asdict(session) for key, session in sessions.items()}).encode()


def _new_content(
    known: dict[str, _Session], changed: Callable[[dict[str, _Session]], dict[str, _Session]]
) -> bytes | None:
    new = changed(known)
    return None if new is known else _content(new)


def _bound(session_id: str, token: Token) -> str:
    return hmac.new(session_id.encode("utf-8", "replace"), token.digest.encode("ascii"), hashlib.sha256).hexdigest()


def _read_first(documents: Documents) -> dict[str, _Session]:
    try:
        return _read(documents.read(FILE_NAME))
    except StorageError as exc:
        _log.warning("sessions of before are not known: %s", exc)
        return {}


def _read(content: bytes | None) -> dict[str, _Session]:
    try:
        rows = loads_bounded(content or b"{}", most_bytes=MAX_BYTES).items()  # type: ignore[attr-defined]  # caught below
        return {
            key: _Session(str(row["token"]), ascii(row["bound"])[1:-1], float(row["expires_at"])) for key, row in rows
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        _log.warning("sessions of before are not known: %s", exc)
        return {}
