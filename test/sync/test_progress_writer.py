"""The progress files: readable with `cat` at any moment, replaced once a second at most, right at the end."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.protocol.snapshot import Snapshot
from app.protocol.states import TaskState
from app.standin.instance import StandIn
from app.standin.packs import Pack
from app.storage import ProgressFiles
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs import progress_writer as progress_writer_module
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.progress_writer import ProgressWriter
from test.support.waiting import wait_until
from test.sync.conftest import Bench, Gate

TASK = "11111111-2222-3333-4444-555555555555"
OTHER = "11111111-2222-3333-4444-666666666666"
RUNNING = InstallStatus(Snapshot(TASK, 1.0, state=TaskState.RUNNING, revision=1))
ENDED = InstallStatus(Snapshot(TASK, 1.0, state=TaskState.COMPLETED, revision=99, finished_at=9.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "progress"


@pytest.fixture
def writer(folder: Path) -> Iterator[ProgressWriter]:
    made = ProgressWriter(ProgressFiles(folder), BackgroundTaskManager(), now=lambda: 10.0)
    yield made
    made.close(5)


def _at(revision: int) -> InstallStatus:
    return replace(RUNNING, snapshot=replace(RUNNING.snapshot, revision=revision))


def _cat(folder: Path, task_id: str = TASK) -> Any:
    path = folder / f"{task_id}.json"
    return json.loads(path.read_bytes()) if path.exists() else {"revision": 0}


def test_a_file_is_replaced_once_a_second_however_much_happens(writer: ProgressWriter, folder: Path) -> None:
    """And each time it shows the newest."""
    began = time.monotonic()
    seen: list[tuple[float, int]] = []
    revision = 0
    while len(seen) < 4:
        revision += 1
        writer.put(_at(revision))
        found = int(_cat(folder)["revision"])
        assert found <= revision
        if found and (not seen or seen[-1][1] != found):
            seen.append((time.monotonic(), found))
        assert time.monotonic() - began < 20
    assert all(later[0] - before[0] > 0.8 for before, later in itertools.pairwise(seen[1:]))


def test_the_last_of_many_changes_reaches_the_file_without_another(writer: ProgressWriter, folder: Path) -> None:
    for revision in range(1, 10):
        writer.put(_at(revision))
    wait_until(lambda: _cat(folder)["revision"] == 9, 5, "the newest is there")


def test_an_end_is_there_when_it_was_put(writer: ProgressWriter, folder: Path) -> None:
    """Whoever has polled the end finds it in the file too."""
    writer.put(_at(1))
    writer.put(_at(2))
    writer.put(ENDED)
    found = _cat(folder)
    assert (found["revision"], found["state"], found["completed"]) == (99, "completed", True)


def test_tasks_do_not_wait_for_each_other(writer: ProgressWriter, folder: Path) -> None:
    writer.put(_at(1))
    other = replace(ENDED, snapshot=replace(ENDED.snapshot, task_id=OTHER))
    writer.put(other)
    assert _cat(folder, OTHER)["revision"] == 99


def test_what_is_left_is_written_when_the_service_closes(writer: ProgressWriter, folder: Path) -> None:
    for revision in (1, 2, 3):
        writer.put(_at(revision))
    writer.close(5)
    assert _cat(folder)["revision"] == 3


def test_an_install_that_another_service_works_on_is_not_written_any_more(writer: ProgressWriter, folder: Path) -> None:
    writer.put(_at(1))
    wait_until(lambda: _cat(folder)["revision"] == 1, 5, "it is there")
    writer.put(_at(2))
    writer.drop(TASK)
    writer.close(5)
    assert _cat(folder)["revision"] == 1


def test_a_disk_that_refuses_is_told_in_the_log_and_tried_again(
    writer: ProgressWriter, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was put meanwhile is what is written then."""
    monkeypatch.setattr(progress_writer_module, "REFUSED_SECONDS", 0.1)
    away = folder.rename(folder.with_name("away"))
    writer.put(_at(1))
    wait_until(lambda: "could not be written" in caplog.text, 5, "the log says it")
    writer.put(_at(2))
    away.rename(folder)
    wait_until(lambda: _cat(folder)["revision"] == 2, 5, "the newest is there")


@pytest.mark.sshd
def test_cat_shows_a_run_while_it_goes_on_and_at_its_end(
    bench: Bench, instance: StandIn, packs: list[Pack], gate: Gate
) -> None:
    """The same fields as the API's answer, never ahead of it, a second behind it at most."""
    data_dir = bench.service.settings.data_dir
    task_id = bench.start(instance.ssh_command, *packs, gate.pack, ui_home=instance.ui_home)

    def cat() -> Any:
        text = subprocess.run(
            ["cat", data_dir / "progress" / f"{task_id}.json"], capture_output=True, check=True
        ).stdout
        return json.loads(text)

    bench.until(task_id, lambda progress: progress["phase"] == "scripts", "the gated install.py runs")
    wait_until(lambda: cat()["phase"] == "scripts", 5, "the file shows it too")
    found = cat()
    assert (found["state"], found["in_progress"]) == ("running", True)
    assert found["revision"] <= bench.installs.progress(task_id)["revision"]
    gate.open()
    end, found = bench.ended(task_id), cat()
    assert found | {"last_event_seconds_ago": end["last_event_seconds_ago"]} == end
