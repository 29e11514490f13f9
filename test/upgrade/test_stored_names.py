"""Every name in the release's records is read, and written again: nothing of them is dropped or takes a default.

A request, a snapshot, a workflow and a journal have one reader each (ARCHITECTURE.md, "Restart"). Whoever renames a
field or a word there teaches that reader the old one, and these tests stay green.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.domain.stored_request import read_install, read_request, store_request
from app.domain.workflow import Workflow
from app.protocol import progress_json
from app.protocol.events import Source, decode
from app.protocol.options import Options
from app.protocol.reducer import reduce
from app.protocol.snapshot import from_stored, to_stored
from app.runner.process.paths import Task
from app.runner.rollback.record import Record
from app.settings import Settings
from app.sync.installs.runner_request import spec_of
from test.support.service import essence
from test.upgrade.recorded import RECORDING, TASKS, Json, differences, names

NAME_OF = {task_id: name for name, task_id in TASKS.items()}


@pytest.fixture(scope="module")
def database(left_behind: Path) -> Iterator[sqlite3.Connection]:
    """The release's database as it was, in memory."""
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript((left_behind / "data" / "nodeferry.sql").read_text("utf-8"))
        yield opened


def _documents(database: sqlite3.Connection, query: str) -> dict[str, Json]:
    return {key: json.loads(text) for key, text in database.execute(query)}


def _plain(value: object) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value))


def test_every_request_is_read_whole(database: sqlite3.Connection) -> None:
    """Installs of each form of manifest, a retry, a rollback and restarts."""
    stored = _documents(database, "select task_id, request from installs")
    kinds = {
        (form, kind)
        for request in stored.values()
        for form in (request["manifest"] or {"default": None})
        for kind in ("retry_of", "rollback_of", "restart_of")
        if request[kind]
    } | {(form, None) for request in stored.values() for form in (request["manifest"] or {"default": None})}
    assert {form for form, _ in kinds} >= {"default", "csv", "nodes", "urls", "lock", "repo"}
    assert {kind for _, kind in kinds} == {None, "retry_of", "rollback_of", "restart_of"}
    for task_id, request in stored.items():
        assert list(differences(request, _plain(store_request(read_request(request))))) == [], NAME_OF[task_id]


def test_every_option_is_read_with_its_value(database: sqlite3.Connection) -> None:
    """The task `everything` has another value than the default for each option that the release knew."""
    stored = _documents(database, "select task_id, request from installs")[TASKS["everything"]]
    defaults = Options()
    assert not [name for name, value in stored["options"].items() if getattr(defaults, name) == value]
    options = read_request(stored).options
    assert {name: getattr(options, name) for name in stored["options"]} == stored["options"]


@pytest.mark.parametrize("name", ["running", "interrupted", "cancelling", "started", "workflow-running", "packages"])
def test_the_runner_is_asked_for_the_same(database: sqlite3.Connection, left_behind: Path, name: str) -> None:
    """A run that goes on is attached to by the request that the release had sent; one that waits is started by such."""
    stored = _documents(database, "select task_id, request from installs")[TASKS[name]]
    [path] = left_behind.glob(f"instance/*/{TASKS[name]}/request.json")
    settings = Settings(allowed_git_schemes=("https", "ssh", "http"))
    now = _plain(spec_of(TASKS[name], read_request(stored), settings).runner_request)
    assert list(differences(json.loads(path.read_text("utf-8")), now)) == []


def test_every_snapshot_is_read_whole(database: sqlite3.Connection) -> None:
    """In each state that a task can have but `connecting` and `waiting`, which nobody is killed in for long."""
    stored = _documents(database, "select task_id, snapshot from installs")
    for task_id, snapshot in stored.items():
        assert list(differences(snapshot, _plain(to_stored(from_stored(snapshot))))) == [], NAME_OF[task_id]


def test_every_workflow_is_read_whole(database: sqlite3.Connection) -> None:
    """With its steps, its question and what was answered; the install in it is an install's request."""
    stored = _documents(database, "select workflow_id, document from workflows")
    assert len(stored) == len(RECORDING["workflows"])
    for document in stored.values():
        assert list(differences(document, _plain(Workflow.of(document).to_json()))) == []
        assert list(differences(document["request"], _plain(store_request(read_install(document["request"]))))) == []


@pytest.mark.parametrize("name", names("journals"))
def test_a_journal_is_folded_to_the_same_end(left_behind: Path, name: str) -> None:
    """The events of the release's runner, through today's decoder and reducer alone."""
    was = json.loads((left_behind / "expected" / "tasks" / f"{name}.json").read_text("utf-8"))["progress"]
    snapshot, wall = progress_json.initial(was["task_id"], 0.0, auto_installer=name == "all"), 0.0
    lines = (left_behind / "journals" / f"{name}.ndjson").read_bytes().splitlines()
    for line in lines:
        event = decode(line, Source.JOURNAL)
        snapshot, wall = reduce(snapshot, event, event.wall), event.wall
    now = _plain(progress_json.progress(snapshot, wall))
    assert snapshot.journal_seq == len(lines)
    if name == "runner-lost":  # its end was told by the service; the journal knows of none
        assert now["in_progress"] is True
        return
    assert essence(now) == essence(was)
    told = ("packages_done", "packages_total", "warnings", "error")
    assert list(differences({key: was[key] for key in told}, now)) == []
    for before, after in zip(was["nodes"], now["nodes"], strict=True):
        before.pop("seconds")  # now the pack's own work alone
        assert list(differences(before, after)) == []
    details = {row["name"]: (row["status"], row["detail"]) for row in now["phases"]}
    for row in was["phases"]:
        if row["name"] not in ("connect", "upload"):  # the service's own
            assert details[row["name"]] == (row["status"], row["detail"])


def test_the_notes_for_a_rollback_are_read_whole(
    left_behind: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a run of the release noted before it changed anything, and after."""
    monkeypatch.setenv("HOME", str(tmp_path))
    task = Task(TASKS["packages"])
    task.folder.parent.mkdir(parents=True)
    task.folder.symlink_to(left_behind / "instance" / "main" / TASKS["packages"])
    record = Record(task)
    assert record.exists and not record.swept
    assert record.ui_home == f"{RECORDING['root']}/main/workspace/ComfyUI"
    assert [(pack["name"], pack["folder"], pack["there"]) for pack in record.packs] == [
        ("coloured", "in colours", False),
        ("versions", "versions", False),
    ]
    assert record.touched() == {"nf-colors", "nf-shapes"}
    before, after = record.before or {}, record.after or {}
    assert (before["nf-colors"].version, after["nf-colors"].version) == ("0.9", "1.0")
    assert "nf-shapes" not in before and after["nf-shapes"].version == "1.0"
    assert record.commit_after("versions") == RECORDING["packs"]["versions"][0]
    assert record.packs_after["coloured"]["commit"] == RECORDING["packs"]["coloured"][0]
