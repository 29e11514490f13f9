"""Manifests that many installs have in common: kept once, and read once.

A fleet's installs have the same one. In each of a thousand records, a lock of 200 packs would take 150 MB.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, delete, select

from app.storage.schema import installs, manifests

LEAST_CHARS = 1000
"""Shorter ones stay in their records."""
KEPT_SECONDS = 24 * 60 * 60
"""How long one that no install has any more is kept: another transaction may be about to name it."""
_MOST_REMEMBERED = 16


class _Remembered:
    """The manifests of one database that were read last. They never change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Any] = OrderedDict()

    def get(self, wanted: Collection[str]) -> dict[str, Any]:
        """Those of these that are known."""
        with self._lock:
            return {each: self._found[each] for each in wanted if each in self._found}

    def add(self, found: Mapping[str, Any]) -> None:
        """These are known from now on; those that came first are forgotten."""
        with self._lock:
            self._found.update(found)
            while len(self._found) > _MOST_REMEMBERED:
                self._found.popitem(last=False)


_remembered: WeakKeyDictionary[Engine, _Remembered] = WeakKeyDictionary()
_lock = threading.Lock()


class Sharing:
    """Puts the manifests of some requests aside, in the transaction that stores their installs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[tuple[str, int], ...], tuple[object, str | None]] = {}
        """By what is in the manifest, which is held so that nothing else gets its identity."""

    def stored(self, request: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
        """The request as its record keeps it, and where its manifest is, if that is elsewhere."""
        manifest = request.get("manifest")
        if not isinstance(manifest, Mapping):
            return request, None
        key = tuple((name, id(value)) for name, value in manifest.items())  # requests have copies of a fleet's
        if key not in self._known:
            self._known[key] = (manifest, self._keep(manifest))
        sha256 = self._known[key][1]
        if sha256 is None:
            return request, None
        return {name: value for name, value in request.items() if name != "manifest"}, sha256

    def _keep(self, manifest: Mapping[str, Any]) -> str | None:
        text = json.dumps(manifest)
        if len(text) < LEAST_CHARS:
            return None
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        values = {"sha256": sha256, "content": manifest, "used_at": time.time()}
        self._connection.execute(_keeping(self._connection.dialect.name), values)
        return sha256


def _keeping(dialect: str) -> Any:
    """One that is there already is used again, by another transaction too that stores it at the same time."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # only there: nobody else need load it
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    stored = insert(manifests)
    return stored.on_conflict_do_update(index_elements=["sha256"], set_={"used_at": stored.excluded.used_at})


def read_shared(engine: Engine, connection: Connection, wanted: Collection[str]) -> dict[str, Any]:
    """These manifests, by where they are kept; those that there are."""
    with _lock:
        remembered = _remembered.setdefault(engine, _Remembered())
    known = remembered.get(wanted)
    missing = set(wanted) - known.keys()
    if missing:
        query = select(manifests.c.sha256, manifests.c.content).where(manifests.c.sha256.in_(missing))
        found = {row.sha256: row.content for row in connection.execute(query)}
        remembered.add(found)
        known |= found
    return known


def forget_unused(connection: Connection) -> None:
    """Removes those that no install has any more."""
    used = select(installs.c.task_id).where(installs.c.manifest_sha256 == manifests.c.sha256).exists()
    connection.execute(delete(manifests).where(manifests.c.used_at < time.time() - KEPT_SECONDS, ~used))
