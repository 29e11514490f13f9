"""What old runs left on the instance is removed by the next run, and nothing else is."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

import pytest

from app.runner.daemon.cleanup import remove_old_runs
from app.runner.process.locks import lock_now
from app.runner.process.paths import Task

DAY = 86_400.0
ENDED = {"seq": 1, "wall": 1.0, "mono": 1.0, "event": "run_ended", "state": "completed", "error": None}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _run(days: float, last: dict[str, object] = ENDED) -> Task:
    """A run whose files were written so long ago."""
    task = Task(str(uuid.uuid4()))
    (task.folder / "nodes").mkdir(parents=True)
    task.journal.write_text(json.dumps(last) + "\n")
    (task.folder / "nodes" / "pack.log").write_text("a log")
    task.lock.touch()
    _age(task.folder, days)
    return task


def _age(path: Path, days: float) -> None:
    at = time.time() - days * DAY
    for each in (*path.rglob("*"), path):
        os.utime(each, (at, at))


def _next_run(**request: object) -> int:
    return remove_old_runs(Task(str(uuid.uuid4())), {"remote_days": 14.0, **request})


def test_the_old_are_removed_and_the_young_stay() -> None:
    old, young = _run(15), _run(13)
    assert _next_run() == 1
    assert not old.folder.exists()
    assert young.folder.is_dir()


def test_a_run_is_as_young_as_its_youngest_file() -> None:
    """A rollback or a script may have written there since."""
    run = _run(15)
    (run.folder / "nodes" / "pack.log").write_text("something new")
    assert _next_run() == 0


def test_a_run_that_lives_is_never_removed() -> None:
    """However old its files are: it may wait for something."""
    run = _run(20, {"seq": 1, "wall": 1.0, "mono": 1.0, "event": "run_started"})
    ended = _run(20)
    held = [lock_now(run.lock), lock_now(ended.lock)]
    _age(run.folder, 20)
    _age(ended.folder, 20)
    assert _next_run() == 0
    for descriptor in held:
        assert descriptor is not None
        os.close(descriptor)
    assert _next_run() == 2


def test_a_killed_run_is_removed_with_its_file_in_tmp(tmp_path: Path) -> None:
    run = _run(20, {"seq": 1, "wall": 1.0, "mono": 1.0, "event": "run_started"})
    run.progress.write_text("{}")
    assert _next_run() == 1
    assert not run.progress.exists()
    assert not run.folder.exists()


def test_what_a_rollback_is_to_undo_stays() -> None:
    """And the run itself."""
    run = _run(100)
    assert _next_run(rollback_of=run.task_id) == 0
    assert remove_old_runs(run, {"remote_days": 14.0}) == 0


@pytest.mark.parametrize("days", [0, 0.0, None, "14", -1])
def test_without_a_number_of_days_everything_stays(days: object) -> None:
    _run(1000)
    assert _next_run(remote_days=days) == 0


def test_the_runner_s_other_folders_stay(home: Path) -> None:
    """Its tools, its locks, itself, and a link that somebody made."""
    state = home / ".local/state/nodeferry"
    for name in ("bin", "tools", "locks"):
        (state / name).mkdir(parents=True)
        (state / name / "file").write_text("x")
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (state / str(uuid.uuid4())).symlink_to(elsewhere)
    _age(state, 1000)
    assert _next_run() == 0
    assert {path.name for path in state.iterdir() if not path.is_symlink()} == {"bin", "locks", "tools"}
    assert len(list(state.iterdir())) == 4
    assert elsewhere.is_dir()


def test_a_home_without_any_run_is_no_trouble() -> None:
    assert _next_run() == 0
