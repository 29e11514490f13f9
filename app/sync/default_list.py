"""The recommended list by its names, before anything is installed: the CSV that an install without a manifest reads.

It is read from its repository's web server, by this service or through an instance, and kept in the data folder: where
neither reaches it, the last one is shown with its age. Installs do not depend on it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from app.domain.errors import AppError, DefaultListUnavailable
from app.protocol.manifest import ManifestFault, NodePack, parse_csv
from app.protocol.pasted_address import read_address
from app.protocol.progress_json import iso
from app.protocol.repo_url import BadRepoUrl
from app.remote.web_text import MAX_BYTES, read_text
from app.settings import Settings
from app.storage.errors import StorageError
from app.storage.private_file import read_private, write_private

FRESH_SECONDS = 3600.0
"""A list that is younger is not read again."""
PAUSE_SECONDS = 30.0
"""After a failure nobody tries again for so long, unless another way is asked for."""
READ_SECONDS = 8.0
_FILE = "default-list.json"

Read = Callable[[str], bytes]
"""What stands at a web address. Raises DefaultListUnavailable and other errors of a connection."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list as it was read. `read_at` in Unix seconds."""

    text: str
    read_at: float
    packs: tuple[NodePack, ...]


class DefaultList:
    """The recommended list. Every method may be called from any thread."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._path = settings.data_dir / _FILE
        self._reading = threading.Lock()
        self._kept: _Kept | None = None
        self._failed: tuple[float, AppError] | None = None

    def look(self) -> dict[str, Any]:
        """The list as the API shows it, read anew by this service where it is old; and why not, where that failed."""
        if not self._reading.acquire(timeout=2 * READ_SECONDS):
            return self._as_json(DefaultListUnavailable("The list is being read."))
        try:
            self._load()
            if self._is_fresh():
                return self._as_json(None)
            if self._failed and 0 <= self._now() - self._failed[0] < PAUSE_SECONDS:
                return self._as_json(self._failed[1])
            return self._as_json(self._renew(lambda url: read_text(url, READ_SECONDS)))
        finally:
            self._reading.release()

    def look_through(self, read: Read) -> dict[str, Any]:
        """The same, read by another way, for whoever has one. What that way could have changed is not kept."""
        if not self._reading.acquire(timeout=2 * READ_SECONDS):
            return self._as_json(DefaultListUnavailable("The list is being read."))
        try:
            self._load()
            if self._is_fresh():
                return self._as_json(None)
            before = self._kept
            answer = self._as_json(self._renew(read, kept=self._has_tls()))
            self._kept = self._kept if self._has_tls() else before
            return answer
        finally:
            self._reading.release()

    def _is_fresh(self) -> bool:
        return self._kept is not None and 0 <= self._now() - self._kept.read_at < FRESH_SECONDS

    def _has_tls(self) -> bool:
        return not self._settings.auto_installer_repo.lower().startswith("http://")

    def _renew(self, read: Read, *, kept: bool = True) -> AppError | None:
        """Reads it; `kept`: also for later services. Why it could not."""
        try:
            text = _decoded(read(raw_address(self._settings.auto_installer_repo, self._settings.auto_installer_path)))
            self._kept = _Kept(text, self._now(), self._packs(text))
            if kept:
                self._write(self._kept)
        except AppError as error:
            self._failed = (self._now(), error)
            return error
        self._failed = None
        return None

    def _packs(self, text: str) -> tuple[NodePack, ...]:
        try:
            return tuple(parse_csv(text, self._settings.allowed_git_schemes))
        except ManifestFault as fault:
            raise DefaultListUnavailable(f"What was read is no list of node packs: {fault.message}") from fault

    def _write(self, kept: _Kept) -> None:
        value = {**self._source(), "read_at": kept.read_at, "text": kept.text}
        try:
            write_private(self._path, json.dumps(value).encode("ascii"))
        except StorageError:
            return  # then it is read again after a restart

    def _load(self) -> None:
        """The list that an earlier service has kept, if it is of the same repository and can be read."""
        if self._kept is not None:
            return
        try:
            value = json.loads(read_private(self._path) or b"null")
            if isinstance(value, dict) and {name: value.get(name) for name in self._source()} == self._source():
                text, read_at = str(value["text"]), float(value["read_at"])
                self._kept = _Kept(text, min(read_at, self._now()), self._packs(text))
        except (AppError, KeyError, TypeError, ValueError):
            return

    def _source(self) -> dict[str, str]:
        return {"repo": self._settings.auto_installer_repo, "path": self._settings.auto_installer_path}

    def _as_json(self, problem: AppError | None) -> dict[str, Any]:
        kept = self._kept
        return {
            "success": True,
            "source": self._source(),
            "nodes": None if kept is None else [asdict(pack) for pack in kept.packs],
            "read_at": None if kept is None else iso(kept.read_at),
            "age_seconds": None if kept is None else round(max(0.0, self._now() - kept.read_at), 1),
            "problem": None if problem is None else problem.to_json(),
        }


def raw_address(repo: str, path: str) -> str:
    """Where a repository's web server has a file of its default branch. Raises DefaultListUnavailable."""
    try:
        url = read_address(repo, ("https", "http", "ssh")).url
    except BadRepoUrl as exc:
        raise DefaultListUnavailable(f"The repository of the list cannot be read on the web: {exc}") from exc
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise DefaultListUnavailable("The repository of the list is not on the web.")
    base, file = url.removesuffix("/").removesuffix(".git"), quote(path)
    if parts.hostname == "github.com":
        return f"https://raw.githubusercontent.com/{base.split('/', 3)[3]}/HEAD/{file}"
    return f"{base}/raw/HEAD/{file}"


def _decoded(content: bytes) -> str:
    """The text of a CSV. Raises DefaultListUnavailable for what is none."""
    text = content[:MAX_BYTES].decode("utf-8-sig", "replace")
    if text.lstrip()[:1] in {"<", "{"}:
        raise DefaultListUnavailable("What was read is no list of node packs, but a web page.")
    return text
