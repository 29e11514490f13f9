"""Removing ended installs from the database and their progress files from the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.protocol.states import TaskState
from app.storage import InstallStore, ProgressFiles
from app.storage.history import History
from test.storage.records import REQUEST, new_record


@pytest.fixture
def history(engine: Engine) -> History:
    return History(engine)


def test_the_history_tells_when_each_ended_and_what_it_refers_to(store: InstallStore, history: History) -> None:
    """One that was given up without an end counts from its beginning."""
    ended = new_record(state=TaskState.COMPLETED, created_at=10.0, finished_at=20.0)
    given_up = new_record(state=TaskState.FAILED, created_at=30.0)
    undoing = new_record(request={**REQUEST, "rollback_of": ended.task_id, "retry_of": None})
    for record in (ended, given_up, undoing):
        store.add(record)
    found = {past.task_id: (past.ended_at, past.refers_to) for past in history.all()}
    assert found == {
        ended.task_id: (20.0, ()),
        given_up.task_id: (30.0, ()),
        undoing.task_id: (None, (ended.task_id,)),
    }


def test_removing_leaves_what_has_not_ended(store: InstallStore, history: History) -> None:
    """Also when it was asked to: an install may have been taken up again since."""
    ended = [new_record(state=TaskState.COMPLETED, snapshot={"x": "y" * 1000}) for _ in range(250)]
    running = new_record(state=TaskState.RUNNING)
    for record in (*ended, running):
        store.add(record)
    removed, size = history.remove([r.task_id for r in ended] + [running.task_id, "unknown"])
    assert sorted(removed) == sorted(r.task_id for r in ended)
    assert size > 250 * 1000
    assert store.list(limit=1000) == [running]


def test_progress_files_are_removed_by_task_and_age_and_nothing_else_is(tmp_path: Path) -> None:
    files = ProgressFiles(tmp_path)
    one, other = new_record().task_id, new_record().task_id
    files.write(one, {"a": 1})
    files.write(other, {"a": 1})
    (tmp_path / f"{one}.1-2.tmp").write_text("left by a killed service")
    (tmp_path / "notes.json").write_text("somebody's")
    (tmp_path / f"{one}.json.bak").write_text("somebody's")
    os.utime(tmp_path / f"{other}.json", (50.0, 50.0))
    assert files.remove_all(lambda task_id, at: at < 49.0) == (0, 0)
    assert files.remove_all(lambda task_id, at: task_id == one)[0] == 2
    assert files.remove_all(lambda task_id, at: at < 51.0)[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{one}.json.bak", "notes.json"]
