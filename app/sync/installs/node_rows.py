"""The rows of node packs as progress has them, made anew only for the packs that an event has changed.

An event mostly changes one pack of many. A row that is the same stays the same object, by which whoever makes text or
patches of rows knows it. Nobody changes one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from app.protocol import builds, counts, progress_json
from app.protocol.snapshot import Node, Snapshot

MAX_TASKS = 1000
"""Those that nobody has asked about for the longest time go first."""

Row = dict[str, Any]


class _Made(NamedTuple):
    """A row, and all that it was made of."""

    node: Node
    standing: counts.Standing
    build_seconds: float
    began_mono: float | None
    row: Row


class NodeRows:
    """Of one service. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: OrderedDict[str, dict[str, _Made]] = OrderedDict()

    def of(self, snapshot: Snapshot) -> list[Row]:
        """As `progress_json.node_rows`."""
        with self._lock:
            known = self._tasks.get(snapshot.task_id, {})
        built = builds.seconds_by_pack(snapshot)
        made = {name: _made(snapshot, node, built.get(node.name, 0.0), known) for name, node in snapshot.nodes.items()}
        with self._lock:
            self._tasks[snapshot.task_id] = made
            self._tasks.move_to_end(snapshot.task_id)
            if len(self._tasks) > MAX_TASKS:
                self._tasks.popitem(last=False)
        return [each.row for each in made.values()]


def _made(snapshot: Snapshot, node: Node, build_seconds: float, known: dict[str, _Made]) -> _Made:
    stands, before = counts.standing(snapshot, node), known.get(node.name)
    if before is not None and before.node is node and before[1:4] == (stands, build_seconds, snapshot.began_mono):
        return before
    row = progress_json.node_row(snapshot, node, build_seconds)
    return _Made(node, stands, build_seconds, snapshot.began_mono, row)
