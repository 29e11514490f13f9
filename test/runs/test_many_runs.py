"""A long history is listed from its index: no page looks at every run, and none folds a snapshot."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, insert

from app.storage import open_database
from app.storage.run_store import RunFilter, RunStore
from app.storage.schema import runs
from app.storage.transactions import writing
from app.sync.runs.runs import DOCUMENT
from test.api.client import Api, content, service_in
from test.support.database import put_database

RUNS = 5000
COUNTS = {"total": 34, "ready": 34, "problem": 0, "failed": 0, "skipped": 0, "cancelled": 0, "working": 0, "waiting": 0}


def _values(number: int) -> dict[str, object]:
    run_id, instance = str(uuid.uuid4()), f"root@h.example:{1000 + number % 50}"
    summary = {"kind": "ready", "tone": "good", "sentence": "All 34 node packs are ready"}
    place = {"name": "h", "instance": instance, "ssh_connection": instance, "ui_home": None, "gpu": None}
    row = {
        "run_id": run_id,
        "kind": "install",
        "fleet_id": None,
        "machine": place,
        "list": {"label": "Recommended node packs", "total": 34},
        "created_at": "2026-01-31T12:34:12.000Z",
        "finished_at": "2026-01-31T12:35:30.000Z",
        "in_progress": False,
        "summary": summary,
        "counts": COUNTS,
        "percent": 100.0,
        "seconds": 78.0,
        "working_since": None,
    }
    return {
        "run_id": run_id,
        "kind": "install",
        "created_at": 1e9 + number,
        "instance": instance,
        "state": "ready",
        "tone": "good",
        "search": f"{instance} {run_id}",
        "document": {"form": DOCUMENT, "row": row},
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Path]]:
    folder = tmp_path_factory.mktemp("many") / "data"
    put_database(folder)
    engine = open_database(f"sqlite:///{folder / 'nodeferry.db'}")
    with writing(engine) as connection:
        connection.execute(insert(runs), [_values(number) for number in range(RUNS)])
    engine.dispose()
    with service_in(folder) as api:
        yield api, folder


@pytest.mark.parametrize(
    ("query", "most"),
    [
        *(("", 50), ("limit=200", 200), ("state=ready", 50), ("state=failed", 0), ("instance=root@h.example:1003", 50)),
        *(("in_progress=true", 0), ("q=nowhere", 0), ("q=:1003", 50), ("tone=good&kind=install", 50)),
    ],
)
def test_a_page_of_five_thousand_runs_is_there_at_once(many: tuple[Api, Path], query: str, most: int) -> None:
    """Some 10 ms of a processor's time, well under a second for the first."""
    api, _ = many
    began = time.thread_time()
    answer = content(api.get(f"/runs?{query}"))
    assert time.thread_time() - began < 1.0
    assert len(answer["runs"]) == most
    assert (answer["next_cursor"] is not None) == (most > 0)


def test_the_last_page_is_as_near_as_the_first(many: tuple[Api, Path]) -> None:
    """A cursor is a place in the index."""
    _, folder = many
    engine = open_database(f"sqlite:///{folder / 'nodeferry.db'}")
    asked: list[tuple[str, object]] = []
    event.listen(engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    store = RunStore(engine)
    last = store.ended(RunFilter(), 5, f"{1e9 + 5!r}_x")
    assert [row.created_at for row in last] == [1e9 + number for number in (5, 4, 3, 2, 1)]
    for wanted in (RunFilter(), RunFilter(instance="root@h.example:1003"), RunFilter(states=("failed",))):
        asked.clear()
        store.ended(wanted, 50, f"{1e9 + 900!r}_x")
        statement, values = asked[-1]
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()  # type: ignore[arg-type]
        assert all("SCAN runs" not in str(step) or "USING INDEX" in str(step) for step in plan), plan
    engine.dispose()
