"""Asks ComfyUI's registry about packs, versions and classes, with one deadline for all that a request needs.

What is there is kept with its ETag. Where the registry does not answer, what was kept is used and its age told; a
registry that does not answer, or wants to be left alone, is not asked again for a while.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from app.nodemap.registry_answers import (
    VERSION,
    RegistryNode,
    RegistryVersion,
    read_node,
    read_nodes,
    read_packs_of_class,
    read_version,
)
from app.remote.tcp import open_socket
from app.remote.web_text import Open, WebError, fetch
from app.settings import Settings
from app.sync.registry.kept_answers import Kept, KeptAnswers

FRESH_SECONDS = 3600.0
"""An answer that is younger is not asked for again."""
PAUSE_SECONDS = 30.0
"""After a failure nobody asks again for so long, unless another way is there."""
LONGEST_PAUSE_SECONDS = 300.0
"""However long the registry asks to wait."""
CALL_SECONDS = 6.0
ALL_SECONDS = 20.0
"""For everything that one request asks."""
WAIT_SECONDS = 3.0
"""A wait that the registry asks for and that is worth it."""
MAX_BYTES = 512 * 1024
MAX_CLASSES = 200
"""Of one workflow; more classes are left to the map."""
_AT_ONCE = 6
_MOST_CANDIDATES = 12
_T = TypeVar("_T")
_K = TypeVar("_K")
_NOTHING = frozenset({400, 404, 410})


class RegistryUnreachable(Exception):
    """The registry gave no answer that can be used, and none is kept."""


@dataclass
class Asking:
    """What one request asks. `read_at`: of the oldest answer that was used; `problem`: why none is newer, or why there
    is none; `count`: calls that went out."""

    ends: float
    open_stream: Open = open_socket
    is_ours: bool = True
    read_at: float | None = None
    problem: str | None = None
    count: int = 0
    _noting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def note(self, read_at: float | None = None, problem: str | None = None, calls: int = 0) -> None:
        """From any thread."""
        with self._noting:
            if read_at is not None:
                self.read_at = read_at if self.read_at is None else min(self.read_at, read_at)
            self.problem = self.problem or problem
            self.count += calls


class Registry:
    """The registry. Every method may be called from any thread; all that take an `asking` raise RegistryUnreachable."""

    def __init__(
        self, settings: Settings, now: Callable[[], float] = time.time, *, call_seconds: float = CALL_SECONDS
    ) -> None:
        self.url = settings.registry_url.rstrip("/")
        self._kept = KeptAnswers(settings.data_dir / "registry")
        self._now = now
        self._call_seconds = call_seconds
        self._left_alone_until = 0.0

    @property
    def is_on(self) -> bool:
        """Whether there is one to ask."""
        return bool(self.url)

    def asking(self, open_stream: Open | None = None) -> Asking:
        """For one request. `open_stream`: another way to the network, tried although ours has failed."""
        return Asking(time.monotonic() + ALL_SECONDS, open_stream or open_socket, open_stream is None)

    def node(self, node_id: str, asking: Asking) -> RegistryNode | None:
        """A pack; None where there is none of this id, in whatever case."""
        return self._read(f"/nodes/{_part(node_id.lower())}", asking, lambda raw: read_node(raw, self.url))

    def version(self, node_id: str, version: str, asking: Asking) -> RegistryVersion | None:
        """A version of a pack, where it has one of exactly this name."""
        if not VERSION.fullmatch(version):
            return None
        path = f"/nodes/{_part(node_id.lower())}/versions/{_part(version)}"
        return self._read(path, asking, lambda raw: read_version(raw, self.url))

    def packs_of(self, class_name: str, asking: Asking) -> list[RegistryNode]:
        """The packs that have a class; several, where the registry does not say which of them is meant."""
        name = _part(class_name)
        found = self._read(
            f"/comfy-nodes?comfy_node_name={name}&pageSize=100",
            asking,
            lambda raw: read_packs_of_class(raw, class_name),
        )
        rows, ids = found or (0, frozenset())
        if not rows:
            return []
        if len(ids) > 1:
            nodes = [self.node(each, asking) for each in sorted(ids)[:_MOST_CANDIDATES]]
            return [node for node in nodes if node is not None]
        one = self._read(f"/comfy-nodes/{name}/node", asking, lambda raw: read_node(raw, self.url))
        others = [] if rows == 1 or ids else self._with_class(name, asking)
        known = {node.node_id.lower(): node for node in [*([one] if one else []), *others]}
        return list(known.values())

    def packs_of_all(self, classes: Iterable[str], asking: Asking) -> dict[str, list[RegistryNode]]:
        """The same for many classes at once. What could not be asked is not in it, and `asking.problem` says why."""
        names = list(classes)[:MAX_CLASSES]

        def ask(name: str) -> list[RegistryNode] | None:
            try:
                return self.packs_of(name, asking)
            except RegistryUnreachable as exc:
                asking.note(problem=str(exc))
                return None

        return {name: nodes for name, nodes in self.each(ask, names).items() if nodes is not None}

    @staticmethod
    def each(ask: Callable[[_K], _T], keys: Iterable[_K]) -> dict[_K, _T]:
        """Asks for several things at once, in a few threads; in the order of `keys`."""
        wanted = list(keys)
        with ThreadPoolExecutor(min(_AT_ONCE, len(wanted) or 1), thread_name_prefix="registry") as pool:
            return dict(zip(wanted, pool.map(ask, wanted), strict=True))

    def _with_class(self, name: str, asking: Asking) -> list[RegistryNode]:
        """What the registry's own search finds for a class of which it names no pack."""
        path = f"/nodes/search?comfy_node_search={name}&limit={_MOST_CANDIDATES}"
        return (self._read(path, asking, lambda raw: read_nodes(raw, self.url)) or [])[:_MOST_CANDIDATES]

    def _read(self, path: str, asking: Asking, reader: Callable[[Any], _T]) -> _T | None:
        """What an address says; None where there is nothing."""
        url = self.url + path
        kept = self._kept.find(url)
        if kept is None or not 0 <= self._now() - kept.read_at < FRESH_SECONDS:
            try:
                kept = self._renewed(url, kept, asking, reader)
            except RegistryUnreachable as exc:
                if kept is None:
                    raise
                asking.note(problem=str(exc))
        asking.note(read_at=kept.read_at)
        return None if kept.content is None else _parsed(kept.content, reader)

    def _renewed(self, url: str, kept: Kept | None, asking: Asking, reader: Callable[[Any], object]) -> Kept:
        """Asks, and keeps what is right."""
        found = self._asked(url, kept, asking)
        if found.content is not None:
            _parsed(found.content, reader)
        if asking.is_ours or url.startswith("https:"):  # without TLS whoever passes it on could have changed it
            self._kept.add(url, found)
        return found

    def _asked(self, url: str, kept: Kept | None, asking: Asking, tries: int = 2) -> Kept:
        if not self.is_on:
            raise RegistryUnreachable("ComfyUI's registry is switched off.")
        if asking.is_ours and self._now() < self._left_alone_until:
            raise RegistryUnreachable("ComfyUI's registry did not answer a moment ago.")
        if asking.left <= 0:
            raise RegistryUnreachable("ComfyUI's registry did not answer everything in time.")
        asking.note(calls=1)
        etag = kept.etag if kept else None
        try:
            said = fetch(
                url, min(self._call_seconds, asking.left), most=MAX_BYTES, etag=etag, open_stream=asking.open_stream
            )
        except WebError as exc:
            if exc.status in _NOTHING:
                return Kept(None, None, self._now())
            if exc.status == 429 and tries > 1 and (exc.retry_after or 1.0) <= min(WAIT_SECONDS, asking.left):
                threading.Event().wait(exc.retry_after or 1.0)
                return self._asked(url, kept, asking, tries - 1)
            self._leave_alone(exc, asking)
            raise RegistryUnreachable(f"ComfyUI's registry cannot be asked: {exc}."[:300]) from exc
        return Kept(
            said.content if said.content is not None else (kept.content if kept else None), said.etag, self._now()
        )

    def _leave_alone(self, error: WebError, asking: Asking) -> None:
        """Nobody asks again for a while, the others of this request neither. One address that is refused is no reason
        for that."""
        if error.status is not None and error.status != 429 and error.status < 500:
            return
        pause = min(error.retry_after or PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        if asking.is_ours:
            self._left_alone_until = self._now() + pause
        else:
            asking.ends = min(asking.ends, time.monotonic())


def _parsed(content: bytes, reader: Callable[[Any], _T]) -> _T:
    """Raises RegistryUnreachable for what has another shape than it should."""
    try:
        return reader(json.loads(content))
    except (ValueError, RecursionError) as exc:
        why = str(exc) if not isinstance(exc, (json.JSONDecodeError, UnicodeDecodeError)) else "its answer is no JSON"
        raise RegistryUnreachable(f"ComfyUI's registry cannot be used: {why}."[:300]) from exc


def _part(text: str) -> str:
    return quote(text, safe="")
