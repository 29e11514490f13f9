"""A snapshot's stored form as text. Of one install's snapshots, only what differs from the one before is made anew."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping

from app.protocol.snapshot import FORMAT, Snapshot, stored_value
from app.storage.stored_json import JsonText, dumps

_NAMES = tuple((field.name, dumps(field.metadata.get("wire", field.name))) for field in dataclasses.fields(Snapshot))
_BY_ROW = frozenset({"nodes", "builds", "steps", "questions"})
"""Mappings of which an event mostly changes one row."""

_NOTHING = object()
_Rows = dict[str, tuple[object, str]]


class SnapshotText:
    """Of one install. Any thread.

    Snapshots are never changed, and the next one shares with the last what is the same in both: so a part is known by
    its identity."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: list[object] = [_NOTHING] * len(_NAMES)
        self._texts = [""] * len(_NAMES)
        self._rows: dict[str, _Rows] = {name: {} for name in _BY_ROW}

    def of(self, snapshot: Snapshot) -> JsonText:
        """The JSON of `to_stored(snapshot)`. Raises ValueError for a number that JSON has not."""
        with self._lock:
            values, texts = self._values, self._texts
            for at, (field, name) in enumerate(_NAMES):
                value = getattr(snapshot, field)
                if value is not values[at]:
                    texts[at] = f"{name}:{self._by_row(field, value) if field in _BY_ROW else _text(value)}"
                    values[at] = value
            return JsonText(f'{{{",".join(texts)},"format":{FORMAT}}}')

    def _by_row(self, name: str, rows: Mapping[str, object]) -> str:
        before, now = self._rows[name], _Rows()
        for key, row in rows.items():
            known = before.get(key)
            if known is None or known[0] is not row:
                known = row, f"{dumps(key)}:{_text(row)}"
            now[key] = known
        self._rows[name] = now
        return f"{{{','.join([text for _, text in now.values()])}}}"


def _text(value: object) -> str:
    return dumps(stored_value(value))
