"""The tokens of a service: the document `tokens.json`, hashed. Service and command line share it: what one writes the
other reads at its next look."""

from __future__ import annotations

import json
import threading
from collections.abc import Hashable
from datetime import UTC, datetime
from pathlib import Path

from app.domain.access import Scope, Token, digest_of, is_token_name, new_secret
from app.domain.errors import InvalidRequest
from app.protocol.json_fields import loads_bounded
from app.storage.documents import Documents, FolderDocuments
from app.storage.errors import StorageError
from app.storage.private_file import MAX_BYTES

FILE_NAME = "tokens.json"
MAX_TOKENS = 100


class Tokens:
    """Any thread. Raises StorageError where they cannot be read: then nobody is let in by them."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lock = threading.Lock()
        self._version: Hashable | None = None
        self._tokens: tuple[Token, ...] = ()

    def all(self) -> tuple[Token, ...]:
        """The tokens, as they are now, by name."""
        version = self._documents.version(FILE_NAME)
        with self._lock:
            if version != self._version or version is None:
                self._tokens = () if version is None else self._read(self._documents.read(FILE_NAME))
                self._version = version
            return self._tokens

    def new(self, name: str, scope: Scope) -> str:
        """Makes a token; its secret, which is kept nowhere. `name`: "" for the next free one. Raises InvalidRequest."""
        if name and not is_token_name(name):
            hint = "Use letters, digits, dots, dashes and underscores, at most 64 of them."
            raise InvalidRequest(f"{name[:80]!r} cannot be the name of a token.", hint=hint, field="--name")
        secret = new_secret()
        at = datetime.now(UTC).isoformat(timespec="seconds")

        def with_new(content: bytes | None) -> bytes:
            tokens = self._read(content)
            return _content((*tokens, Token(_free_name(name, tokens), scope, digest_of(secret), at)))

        self._documents.change(FILE_NAME, with_new, with_commands=True)
        return secret

    def revoke(self, name: str) -> bool:
        """Removes a token; whether there was one."""
        was_there = False

        def without(content: bytes | None) -> bytes | None:
            nonlocal was_there
            tokens = self._read(content)
            was_there = any(token.name == name for token in tokens)
            return _content(tuple(token for token in tokens if token.name != name)) if was_there else None

        self._documents.change(FILE_NAME, without, with_commands=True)
        return was_there

    def _read(self, content: bytes | None) -> tuple[Token, ...]:
        if content is None:
            return ()
        try:
            rows = loads_bounded(content, most_bytes=MAX_BYTES)["tokens"]  # type: ignore[index]  # a TypeError is caught
            found = [Token(row["name"], Scope(row["scope"]), row["sha256"], row["created_at"]) for row in rows]
        except (ValueError, KeyError, TypeError) as exc:
            raise self._damaged() from exc
        texts = (text for token in found for text in (token.name, token.digest, token.created_at))
        if not all(isinstance(text, str) and text.isascii() for text in texts):
            raise self._damaged()
        return tuple(sorted(found, key=lambda token: token.name))

    def _damaged(self) -> StorageError:
        place, hint = self._documents.place(FILE_NAME), "Remove it, and make new tokens with: token new"
        return StorageError(f"{place} cannot be used: it is damaged.", hint=hint, code="access_unavailable")


class TokenFile(Tokens):
    """The tokens in a data folder."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(FolderDocuments(data_dir))


def _free_name(name: str, tokens: tuple[Token, ...]) -> str:
    names = {token.name for token in tokens}
    if name in names:
        hint = f"Choose another name, or revoke it first: token revoke {name}"
        raise InvalidRequest(f"There is a token {name} already.", hint=hint, field="--name")
    if len(tokens) >= MAX_TOKENS:
        raise InvalidRequest(f"There are {MAX_TOKENS} tokens already.", hint="Revoke those of no more use.")
    return name or next(free for i in range(1, MAX_TOKENS + 2) if (free := f"token-{i}") not in names)


def _content(tokens: tuple[Token, ...]) -> bytes:
    rows = [
        {"name": each.name, "scope": each.scope.value, "sha256": each.digest, "created_at": each.created_at}
        for each in tokens
    ]
    return json.dumps({"tokens": rows}, indent=1).encode()
