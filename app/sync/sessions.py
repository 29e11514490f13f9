"""The sessions of browsers that have logged in. A restart of the service keeps them: `sessions.json` in the data
folder, where their ids are hashed. A session ends with its time, with its token, and when its browser logs out."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from app.domain.access import Identity, Token, digest_of
from app.protocol.json_fields import loads_bounded
from app.storage.errors import StorageError
from app.storage.private_file import MAX_BYTES, read_private, write_private

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
        self, data_dir: Path, seconds: float, clock: Callable[[], float] = time.time, *, most: int = MAX_SESSIONS
    ) -> None:
        self._path = data_dir / FILE_NAME
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._sessions = _read(self._path)

    def begin(self, token: Token, instead_of: Sequence[str] = ()) -> tuple[str, float]:
        """A new session's id, and its end in Unix seconds. `instead_of`: ids that end now."""
        made, end = secrets.token_urlsafe(32), self._clock() + self._seconds
        with self._lock:
            for old in instead_of:
                self._sessions.pop(digest_of(old), None)
            self._sessions[digest_of(made)] = _Session(token.name, _bound(made, token), end)
            self._clean()
            self._write()
        return made, end

    def find(self, ids: Sequence[str], tokens: Mapping[str, Token]) -> Identity | None:
        """Whose session the first of these ids is that is still good. `tokens`: those there are, by name."""
        for given in ids:
            session = self._sessions.get(digest_of(given))
            token = tokens.get(session.token) if session else None
            if session is None or token is None or session.expires_at <= self._clock():
                continue
            if hmac.compare_digest(session.bound, _bound(given, token)):
                return Identity(token, session.expires_at)
        return None

    def end(self, ids: Sequence[str]) -> None:
        """These end now."""
        with self._lock:
            ended = [self._sessions.pop(digest_of(given), None) for given in ids]
            if any(ended):
                self._write()

    def _clean(self) -> None:
        now = self._clock()
        kept = [(key, session) for key, session in self._sessions.items() if session.expires_at > now]
        self._sessions = dict(kept[-self._most :])

    def _write(self) -> None:
        content = json.dumps({key: asdict(session) for key, session in self._sessions.items()})
        try:
            write_private(self._path, content.encode())
        except StorageError as exc:  # they are good until the service ends
            _log.warning("sessions are not kept: %s", exc.message)


def _bound(session_id: str, token: Token) -> str:
    return hmac.new(session_id.encode("utf-8", "replace"), token.digest.encode("ascii"), hashlib.sha256).hexdigest()


def _read(path: Path) -> dict[str, _Session]:
    try:
        raw = read_private(path)
        rows = loads_bounded(raw or b"{}", most_bytes=MAX_BYTES).items()  # type: ignore[attr-defined]  # caught below
        found = {
            key: _Session(str(row["token"]), ascii(row["bound"])[1:-1], float(row["expires_at"])) for key, row in rows
        }
    except (StorageError, ValueError, KeyError, TypeError, AttributeError) as exc:
        _log.warning("sessions of before are not known: %s", exc)
        return {}
    return found
