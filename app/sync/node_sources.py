"""ComfyUI-Manager's map of classes, kept in the data folder: read from the web when it is old, used as it is when the
web cannot be reached.

The files are another project's data: they are fetched for this service's owner, as ComfyUI-Manager itself does, and are
no part of Nodeferry.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.domain.errors import AppError
from app.nodemap.manager_map import ManagerMap, read_manager_map
from app.protocol.progress_json import iso
from app.remote.tcp import open_socket
from app.remote.web_text import Open, WebError, fetch
from app.settings import Settings
from app.storage.private_file import read_private, write_private

FRESH_SECONDS = 6 * 3600.0
"""Files that are younger are not asked for again."""
PAUSE_SECONDS = 60.0
"""After a failure nobody tries again for so long."""
READ_SECONDS = 20.0
"""For each file."""
MAX_FILE_BYTES = 32 * 1024 * 1024
"""Of each. The largest has 3 MB."""
_SWITCHED_OFF = "ComfyUI-Manager's map of node packs is switched off here."
_MAP, _LIST, _STATS = "extension-node-map.json", "custom-node-list.json", "github-stats.json"


@dataclass(frozen=True, slots=True)
class KnownPacks:
    """The map, when it was read (Unix seconds; None: never) and why it is not newer."""

    manager_map: ManagerMap
    read_at: float | None
    problem: str | None

    @property
    def told(self) -> str | None:
        """The problem, and how old what is used instead is."""
        if self.problem is None or self.read_at is None:
            return self.problem
        return f"{self.problem} The one of {iso(self.read_at)[:10]} is used."


class NodeSources:
    """What is known of all node packs there are. Every method may be called from any thread."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._urls = _urls(settings)
        self._folder = settings.data_dir / "node-map"
        self._now = now
        self._reading = threading.Lock()
        self._known = KnownPacks(ManagerMap(), None, None if self._urls else _SWITCHED_OFF)
        self._failed_at: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is a map to read."""
        return bool(self._urls)

    def kept(self) -> KnownPacks:
        """The map as it was read last, however old it is: nothing is fetched."""
        if self._urls and self._known.read_at is None and self._reading.acquire(timeout=READ_SECONDS):
            try:
                self._load()
            finally:
                self._reading.release()
        return self._known

    def look(self, open_stream: Open | None = None) -> KnownPacks:
        """The map, read anew where it is old. Waits for another thread that reads it. `open_stream`: another way to the
        network, tried although ours has just failed."""
        if not self._urls or self._is_fresh(self._known.read_at):
            return self._known
        if not self._reading.acquire(timeout=len(self._urls) * READ_SECONDS):
            return self._known
        try:
            if self._known.read_at is None:
                self._load()
            paused = self._failed_at is not None and 0 <= self._now() - self._failed_at < PAUSE_SECONDS
            if self._is_fresh(self._known.read_at) or (paused and open_stream is None):
                return self._known
            if open_stream is not None and not self._has_tls():
                return self._read_once(open_stream)
            self._renew(open_stream or open_socket)
            return self._known
        finally:
            self._reading.release()

    def _is_fresh(self, read_at: float | None) -> bool:
        return read_at is not None and 0 <= self._now() - read_at < FRESH_SECONDS

    def _has_tls(self) -> bool:
        return all(url.startswith("https:") for url in self._urls.values())

    def _read_once(self, open_stream: Open) -> KnownPacks:
        """The map for whoever asks now: without TLS the instance that passes it on could have changed it, so that it is
        not kept for others."""
        try:
            files = {name: _passed_on(name, url, open_stream) for name, url in self._urls.items()}
            found = read_manager_map(files[_MAP], files.get(_LIST), files.get(_STATS))
        except (WebError, ValueError) as exc:
            return KnownPacks(self._known.manager_map, self._known.read_at, _unread(exc))
        return KnownPacks(found, self._now(), None)

    def _renew(self, open_stream: Open) -> None:
        """Asks for each file with the ETag of the one that is there."""
        try:
            for name, url in self._urls.items():
                self._fetch(name, url, open_stream)
            self._read_folder(self._now())
        except (WebError, AppError, ValueError, zlib.error) as exc:
            self._failed_at = self._now()
            self._known = KnownPacks(self._known.manager_map, self._known.read_at, _unread(exc))

    def _fetch(self, name: str, url: str, open_stream: Open) -> None:
        """Raises WebError, for the map itself; without figures or ids it can be used too."""
        path, mark = self._folder / name, self._folder / f"{name}.etag"
        etag = read_private(mark) if read_private(path) is not None else None
        try:
            mark_there = etag.decode("latin-1") if etag else None
            fetched = fetch(url, READ_SECONDS, most=MAX_FILE_BYTES, etag=mark_there, open_stream=open_stream)
        except WebError:
            if name == _MAP:
                raise
            return
        if fetched.content is not None:
            json.loads(fetched.content)
            write_private(path, zlib.compress(fetched.content))
            write_private(mark, (fetched.etag or "").encode("latin-1"))

    def _load(self) -> None:
        """What an earlier service has kept."""
        try:
            path = self._folder / _MAP
            self._read_folder(min(path.stat().st_mtime, self._now()))
        except (OSError, AppError, ValueError, zlib.error):
            return

    def _read_folder(self, read_at: float) -> None:
        """Raises ValueError where the map is none."""
        files: dict[str, Any] = {}
        for name in self._urls:
            content = read_private(self._folder / name)
            files[name] = json.loads(zlib.decompressobj().decompress(content, MAX_FILE_BYTES)) if content else None
        found = read_manager_map(files[_MAP], files.get(_LIST), files.get(_STATS))
        self._known, self._failed_at = KnownPacks(found, read_at, None), None


def _unread(error: Exception) -> str:
    """Why the map could not be read, in a sentence."""
    return f"ComfyUI-Manager's map of node packs cannot be read: {error}"[:300].rstrip(".") + "."


def _passed_on(name: str, url: str, open_stream: Open) -> Any:
    """A file as it comes now, parsed; None for one that the map can do without. Raises WebError, ValueError."""
    try:
        return json.loads(fetch(url, READ_SECONDS, most=MAX_FILE_BYTES, open_stream=open_stream).content or b"null")
    except WebError:
        if name == _MAP:
            raise
        return None


def _urls(settings: Settings) -> dict[str, str]:
    """The address of each file; none of a file whose setting is empty."""
    base = settings.node_map_url
    if not base:
        return {}
    folder = base if base.endswith("/") else f"{base}/"
    urls = {_MAP: folder + _MAP, _LIST: folder + _LIST}
    return {**urls, _STATS: settings.stats_url} if settings.stats_url else urls
