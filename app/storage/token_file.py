"""The tokens of a service: `tokens.json` in its data folder, hashed. Service and command line share it: what one writes
the other reads at its next look."""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from app.domain.access import Scope, Token, digest_of, is_token_name, new_secret
from app.domain.errors import InvalidRequest
from app.protocol.json_fields import loads_bounded
from app.storage.filelock import file_lock
from app.storage.private_file import MAX_BYTES, Mark, mark_of, read_private, unusable, write_private
from app.storage.private_folder import private_folders

FILE_NAME = "tokens.json"
MAX_TOKENS = 100
_LOCK_SECONDS = 5.0


class TokenFile:
    """Any thread. Raises StorageError where the file cannot be used: then nobody is let in by it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._lock = threading.Lock()
        self._mark: Mark | None = None
        self._tokens: tuple[Token, ...] = ()

    def all(self) -> tuple[Token, ...]:
        """The tokens, as they are now, by name."""
        mark = mark_of(self._path)
        with self._lock:
            if mark != self._mark or mark is None:
                self._tokens = () if mark is None else _read(self._path)
                self._mark = mark
            return self._tokens

    def new(self, name: str, scope: Scope) -> str:
        """Makes a token; its secret, which is kept nowhere. `name`: "" for the next free one. Raises InvalidRequest."""
        if name and not is_token_name(name):
            hint = "Use letters, digits, dots, dashes and underscores, at most 64 of them."
            raise InvalidRequest(f"{name[:80]!r} cannot be the name of a token.", hint=hint, field="--name")
        with self._changing():
            tokens = _read(self._path)
            names = {token.name for token in tokens}
            if name in names:
                hint = f"Choose another name, or revoke it first: token revoke {name}"
                raise InvalidRequest(f"There is a token {name} already.", hint=hint, field="--name")
            if len(tokens) >= MAX_TOKENS:
                raise InvalidRequest(f"There are {MAX_TOKENS} tokens already.", hint="Revoke those of no more use.")
            name = name or next(free for i in range(1, MAX_TOKENS + 2) if (free := f"token-{i}") not in names)
            secret = new_secret()
            made = Token(name, scope, digest_of(secret), datetime.now(UTC).isoformat(timespec="seconds"))
            _write(self._path, (*tokens, made))
        return secret

    def revoke(self, name: str) -> bool:
        """Removes a token; whether there was one."""
        with self._changing():
            tokens = _read(self._path)
            left = tuple(token for token in tokens if token.name != name)
            if len(left) < len(tokens):
                _write(self._path, left)
        return len(left) < len(tokens)

    def _changing(self) -> AbstractContextManager[None]:
        private_folders(self._path.parent)
        return file_lock(self._path.with_suffix(".lock"), _LOCK_SECONDS)


def _read(path: Path) -> tuple[Token, ...]:
    raw = read_private(path)
    if raw is None:
        return ()
    try:
        rows = loads_bounded(raw, most_bytes=MAX_BYTES)["tokens"]  # type: ignore[index]  # a TypeError is caught
        found = [Token(row["name"], Scope(row["scope"]), row["sha256"], row["created_at"]) for row in rows]
    except (ValueError, KeyError, TypeError) as exc:
        raise unusable(path, "it is damaged", hint="Remove it, and make new tokens with: token new") from exc
    texts = (text for token in found for text in (token.name, token.digest, token.created_at))
    if not all(isinstance(text, str) and text.isascii() for text in texts):
        raise unusable(path, "it is damaged", hint="Remove it, and make new tokens with: token new")
    return tuple(sorted(found, key=lambda token: token.name))


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    rows = [
        {"name": each.name, "scope": each.scope.value, "sha256": each.digest, "created_at": each.created_at}
        for each in tokens
    ]
    write_private(path, json.dumps({"tokens": rows}, indent=1).encode(), for_owner=True)
