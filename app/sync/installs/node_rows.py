"""The rows of node packs and phases as progress has them, made anew only for those that an event has changed.

An event mostly changes one of many. A row that is the same stays the same object, by which whoever makes text or
patches of rows knows it. Nobody changes one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

from app.domain.run_rows import Rows
from app.protocol import builds, counts, progress_json
from app.protocol.snapshot import Node, PhaseRun, Snapshot
from app.protocol.states import Phase

MAX_TASKS = 1000
"""Those that nobody has asked about for the longest time go first."""

Row = dict[str, Any]


class _Pack(NamedTuple):
    """A pack's row, and all that it was made of."""

    node: Node
    standing: counts.Standing
    build_seconds: float
    began_mono: float | None
    row: Row


class _Line(NamedTuple):
    """A phase's row, and all that it was made of."""

    run: PhaseRun | None
    began_mono: float | None
    row: Row


class _OfTask(NamedTuple):
    packs: dict[str, _Pack]
    lines: dict[Phase, _Line]


class NodeRows:
    """Of one service. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: OrderedDict[str, _OfTask] = OrderedDict()

    def of(self, snapshot: Snapshot) -> tuple[Rows, progress_json.Tables]:
        """As `Rows.of` this snapshot, and as `progress_json.tables_of` it."""
        with self._lock:
            known = self._tasks.get(snapshot.task_id) or _OfTask({}, {})
        built = builds.seconds_by_pack(snapshot)
        packs = {
            name: _pack(snapshot, node, built.get(node.name, 0.0), known.packs) for name, node in snapshot.nodes.items()
        }
        made = _OfTask(packs, {phase: _line(snapshot, phase, known.lines) for phase in Phase})
        self._keep(snapshot.task_id, made)
        rows = Rows.of_packs([each[:2] for each in packs.values()])
        nodes, lines = [each.row for each in packs.values()], [each.row for each in made.lines.values()]
        return rows, progress_json.Tables(rows.counts, nodes, lines)

    def _keep(self, task_id: str, made: _OfTask) -> None:
        with self._lock:
            self._tasks[task_id] = made
            self._tasks.move_to_end(task_id)
            if len(self._tasks) > MAX_TASKS:
                self._tasks.popitem(last=False)


def _pack(snapshot: Snapshot, node: Node, build_seconds: float, known: dict[str, _Pack]) -> _Pack:
    stands, before = counts.standing(snapshot, node), known.get(node.name)
    if before is not None and before.node is node and before[1:4] == (stands, build_seconds, snapshot.began_mono):
        return before
    row = progress_json.node_row(snapshot, node, build_seconds)
    return _Pack(node, stands, build_seconds, snapshot.began_mono, row)


def _line(snapshot: Snapshot, phase: Phase, known: dict[Phase, _Line]) -> _Line:
    run, before = snapshot.phases.get(phase), known.get(phase)
    if before is not None and before.run is run and before.began_mono == snapshot.began_mono:
        return before
    return _Line(run, snapshot.began_mono, progress_json.phase_line(snapshot, phase))
