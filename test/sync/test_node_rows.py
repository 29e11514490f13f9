"""The rows of node packs and phases, of which only those are made anew that an event has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.run_rows import Rows
from app.protocol.progress_json import tables_of
from app.protocol.snapshot import Snapshot
from app.sync.installs import node_rows as node_rows_module
from app.sync.installs.node_rows import NodeRows
from bench.eta.replay import JOURNALS, recorded


@pytest.mark.parametrize("name", ["many_packs", "long_build", "kept_packs"])
def test_kept_rows_are_what_new_ones_would_be(name: str) -> None:
    """After each event of a real run, also where what others do changes a pack's row: builds, the check."""
    rows = NodeRows()
    for _, snapshot in recorded(JOURNALS / f"{name}.ndjson.gz"):
        assert rows.of(snapshot) == (Rows.of([snapshot]), tables_of(snapshot))


def nodes_and_phases(rows: NodeRows, snapshot: Snapshot) -> list[object]:
    """All rows."""
    _, tables = rows.of(snapshot)
    return [*tables.nodes, *tables.phases]


def test_a_row_that_stays_is_the_same_object() -> None:
    """Its text and its patch then need not be made again."""
    rows, made, same = NodeRows(), 0, 0
    before: list[object] = []
    for _, snapshot in recorded(JOURNALS / "many_packs.ndjson.gz"):
        now = nodes_and_phases(rows, snapshot)
        same += sum(one is other for one, other in zip(before, now, strict=False))
        made += len(now)
        before = now
    assert same > 0.9 * made


def test_tasks_that_nobody_asks_about_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    monkeypatch.setattr(node_rows_module, "MAX_TASKS", 1)
    _, snapshot = recorded(JOURNALS / "many_packs.ndjson.gz")[-1]
    rows = NodeRows()
    first = nodes_and_phases(rows, snapshot)
    assert nodes_and_phases(rows, snapshot)[0] is first[0]
    rows.of(replace(snapshot, task_id="another"))
    assert nodes_and_phases(rows, snapshot)[0] is not first[0]
