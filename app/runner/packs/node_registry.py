"""ComfyUI's registry of node packs, which keeps archives also of those whose repository is gone.

Asked only about a pack whose repository was not found, soon or not at all: what does not answer is not asked again in
the run. API: docs.comfy.org, "Registry API Reference" (`GET /nodes/{id}`, `/nodes/search`, `/nodes/{id}/install`).
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, Optional
from urllib.parse import quote, urlsplit

from app.protocol.repo_identity import same_repo
from app.protocol.repo_url import repo_name
from app.runner.packs.web_reader import web_opener

_USUAL = "https://api.comfy.org"
_VARIABLE = "NODEFERRY_NODE_REGISTRY"
_SECONDS = 5.0
_ALL_SECONDS = 15.0
_LOOK_SECONDS = 0.2
_FILE_SECONDS = 600.0
_MOST_BYTES = 1024 * 1024
_MOST_FILE_BYTES = 1024**3
_PIECE = 256 * 1024
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_ADDRESS = re.compile(r"^https?://[\x21-\x7e]{1,2000}\Z")
_VERSION = re.compile(r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,49}\Z")


@dataclass(frozen=True)
class Archive:
    """A pack's newest version in the registry."""

    node_id: str
    version: str
    url: str


class NodeRegistry:
    """The registry that a run asks; the clones' threads share it."""

    def __init__(self, address: Optional[str] = None) -> None:
        """`address`: of its API; none is the variable NODEFERRY_NODE_REGISTRY's, or ComfyUI's own. The variable may be
        `off`."""
        given = os.environ.get(_VARIABLE, _USUAL) if address is None else address
        self._address = given.rstrip("/") if _is_web(given) else ""

    def find(self, repo_url: str, check: Callable[[], None]) -> Optional[Archive]:
        """The archive of the pack that has this repository; None where the registry has none, or does not answer within
        15 s. `check` is called meanwhile, and may raise."""
        found: List[Archive] = []

        def ask() -> None:
            try:
                node_id = next(self._ids(repo_url), None)
                archive = self._archive(node_id) if node_id else None
                found.extend([archive] if archive else [])
            except (OSError, ValueError):
                self._address = ""  # the other packs need not wait for it too

        if not self._address:
            return None
        asking = threading.Thread(target=ask, name="node-registry", daemon=True)  # a name may be looked up for minutes
        asking.start()
        ends = time.monotonic() + _ALL_SECONDS
        while asking.is_alive() and time.monotonic() < ends:
            check()
            asking.join(_LOOK_SECONDS)
        if asking.is_alive():
            self._address = ""
        return found[0] if found else None

    def _ids(self, repo_url: str) -> Iterator[str]:
        name = repo_name(repo_url)
        named, search = quote(name.lower(), safe=""), quote(name, safe="")
        for path in ("/nodes/" + named, "/nodes/search?limit=20&search=" + search):
            said = self._get(path)
            found = said.get("nodes") if "search" in path else [said]
            for node in found if isinstance(found, list) else []:
                if not isinstance(node, Mapping):
                    continue
                node_id, repository = node.get("id"), node.get("repository")
                known = isinstance(node_id, str) and isinstance(repository, str) and _ID.match(node_id)
                if known and same_repo(str(repository), repo_url):
                    yield str(node_id)

    def _archive(self, node_id: str) -> Optional[Archive]:
        said = self._get("/nodes/%s/install" % node_id)
        version, url = said.get("version"), said.get("downloadUrl")
        if not (isinstance(version, str) and isinstance(url, str) and _VERSION.match(version) and _ADDRESS.match(url)):
            return None
        if not _is_web(url):
            return None
        secure = url.startswith("https:") or not self._address.startswith("https:")
        return Archive(node_id, version, url) if secure else None

    def _get(self, path: str) -> Mapping[str, Any]:
        """An answer; empty where there is nothing of that name. Raises OSError, ValueError."""
        if not self._address:
            return {}
        raw = b"".join(_pieces(self._address + path, _SECONDS, _MOST_BYTES))
        return _object_in(raw) if raw else {}


def download(archive: Archive, target: Path, check: Callable[[], None]) -> None:
    """Writes the archive to a file. `check` is called all the time, and may raise. Raises OSError, also for what is too
    long or takes longer than ten minutes."""
    with target.open("wb") as file:
        for piece in _pieces(archive.url, _FILE_SECONDS, _MOST_FILE_BYTES):
            check()
            file.write(piece)
    if not target.stat().st_size:
        raise OSError("the registry has no file at the archive's address")


def _object_in(raw: bytes) -> Mapping[str, Any]:
    """The JSON object in an answer; empty for another value. Raises ValueError."""
    try:
        said = json.loads(raw)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    return said if isinstance(said, Mapping) else {}


def _pieces(url: str, seconds: float, most: int) -> Iterator[bytes]:
    """What is at an address; nothing for a 404. Raises OSError."""
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    ends, had = time.monotonic() + seconds, 0
    request = urllib.request.Request(url, headers={"User-Agent": "nodeferry"})  # noqa: S310 - http(s) alone
    try:
        with web_opener().open(request, timeout=_SECONDS) as response:
            while True:
                piece: bytes = response.read1(_PIECE)
                had += len(piece)
                if had > most or time.monotonic() > ends:
                    raise OSError("the answer is too long, or takes too long")
                if not piece:
                    return
                yield piece
    except urllib.error.HTTPError as exc:
        if exc.code not in (400, 404, 410):
            raise
    except HTTPException as exc:
        raise OSError(str(exc)) from None


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        return False
