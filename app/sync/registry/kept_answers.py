"""Answers of the registry in the data folder: each in a file of its own, with its ETag and the time of reading."""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import AppError
from app.storage.private_file import read_private, write_private

MAX_KEPT = 4000
"""Of more, those that were read first are forgotten."""
_LOOK_EVERY = 200
_MOST_BYTES = 1024 * 1024
_HEAD = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer. `content` is None for "there is no such thing"; `read_at` in Unix seconds."""

    content: bytes | None
    etag: str | None
    read_at: float


class KeptAnswers:
    """The answers by their addresses. Every method may be called from any thread; a folder that cannot be used costs
    nothing but the keeping."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0
        self._counting = threading.Lock()

    def find(self, url: str) -> Kept | None:
        """What was kept of an address."""
        try:
            raw = read_private(self._path(url))
            if raw is None:
                return None
            text = zlib.decompressobj().decompress(raw, _MOST_BYTES)
            size = int.from_bytes(text[:_HEAD], "big")
            head, body = json.loads(text[_HEAD : _HEAD + size]), text[_HEAD + size :]
            if head["url"] != url:
                return None
            etag = head["etag"] if isinstance(head["etag"], str) else None
            return Kept(body if head["found"] else None, etag, float(head["read_at"]))
        except (AppError, ValueError, KeyError, TypeError, zlib.error):
            return None

    def add(self, url: str, kept: Kept) -> None:
        """Keeps an answer, in place of the one before."""
        head = {"url": url, "found": kept.content is not None, "etag": kept.etag, "read_at": kept.read_at}
        text = json.dumps(head).encode("ascii")
        content = len(text).to_bytes(_HEAD, "big") + text + (kept.content or b"")
        if len(content) > _MOST_BYTES:
            return
        with suppress(AppError):
            write_private(self._path(url), zlib.compress(content))
        with self._counting:
            self._written += 1
            if self._written % _LOOK_EVERY == 1:
                self._forget_old()

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()}.z"

    def _forget_old(self) -> None:
        with suppress(OSError):
            files = sorted(self._folder.glob("*.z"), key=lambda path: path.stat().st_mtime)
            for path in files[: max(0, len(files) - MAX_KEPT)]:
                path.unlink(missing_ok=True)
