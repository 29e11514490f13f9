"""A snapshot's stored form as text. Of one install's snapshots, only what differs from the one before is made anew."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

from app.protocol.snapshot import FORMAT, Snapshot, stored_value
from app.storage.stored_json import JsonText, dumps

_NAMES = tuple((field.name, dumps(field.metadata.get("wire", field.name))) for field in dataclasses.fields(Snapshot))
_BY_ROW = frozenset({"nodes", "builds", "steps", "questions"})
"""Mappings of which an event mostly changes one row."""

_Rows = dict[str, tuple[object, str]]


class SnapshotText:
    """Of one install. Any thread.

    Snapshots are never changed, and the next one shares with the last what is the same in both: so a part is known by
    its identity."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, tuple[object, str]] = {}
        self._rows: dict[str, _Rows] = {name: {} for name in _BY_ROW}

    def of(self, snapshot: Snapshot) -> JsonText:
        """The JSON of `to_stored(snapshot)`. Raises ValueError for a number that JSON has not."""
        with self._lock:
            parts = [f"{name}:{self._field(field, getattr(snapshot, field))}" for field, name in _NAMES]
        return JsonText(f'{{{",".join(parts)},"format":{FORMAT}}}')

    def _field(self, name: str, value: Any) -> str:
        if name in _BY_ROW:
            return self._by_row(name, value)
        known = self._fields.get(name)
        if known is None or known[0] is not value:
            known = self._fields[name] = value, dumps(stored_value(value))
        return known[1]

    def _by_row(self, name: str, rows: Mapping[str, object]) -> str:
        before, now = self._rows[name], _Rows()
        for key, row in rows.items():
            known = before.get(key)
            same = known is not None and known[0] is row
            now[key] = known if known and same else (row, f"{dumps(key)}:{dumps(stored_value(row))}")
        self._rows[name] = now
        return f"{{{','.join(text for _, text in now.values())}}}"
