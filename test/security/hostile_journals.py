"""Journals for attacks: a run that a runner may write, and what a hostile instance makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from app.protocol.events import decode, to_json
from app.protocol.progress_json import initial, progress
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot, from_stored, to_stored
from test.protocol.events_for_tests import TASK_ID, whole_run

NOW = 1_800_000_000.0
Fields = dict[str, Any]


def honest() -> list[Fields]:
    """A whole run, an object a line."""
    return [to_json(event) for event in whole_run().told]


def line(number: int = 1, **fields: Any) -> bytes:
    """A line of a journal. It may have what JSON has not: NaN."""
    return json.dumps({"seq": number, "wall": NOW, "mono": float(number), **fields}).encode()


def deep(depth: int) -> Any:
    """Something that nests twice as deep."""
    value: Any = 1
    for _ in range(depth):
        value = {"below": [value]}
    return value


def first(task_id: str = TASK_ID) -> Snapshot:
    """The snapshot of a task that was just accepted."""
    return initial(task_id, NOW, auto_installer=False)


def folded(lines: Iterator[bytes] | list[bytes], snapshot: Snapshot | None = None) -> Snapshot:
    """The snapshot after the lines. Raises ProtocolFault."""
    after = snapshot or first()
    for each in lines:
        after = reduce(after, decode(each), NOW)
    return after


def strict(snapshot: Snapshot) -> str:
    """The progress and the record as strict JSON; a service that was restarted has the same."""
    shown, stored = "", json.dumps(to_stored(snapshot), allow_nan=False)
    again = from_stored(json.loads(stored))
    for now in (0.0, NOW, NOW + 1e6):
        shown = json.dumps(progress(snapshot, now), allow_nan=False)
        assert shown == json.dumps(progress(again, now), allow_nan=False)
    return stored + shown


def events(count: int, make: Callable[[int], Fields]) -> Iterator[bytes]:
    """So many lines."""
    for number in range(1, count + 1):
        yield line(number, **make(number))
