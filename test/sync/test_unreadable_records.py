"""Records that this version cannot read: their tasks end, and polls, lists and fleets say the same of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.storage.database import open_database
from app.storage.install_store import InstallStore
from app.storage.lease import Leases
from test.api.client import Api, closed_address, content
from test.api.test_fleet import _fleet, _start
from test.sync.conftest import Bench, BenchFactory

SNAPSHOTS = {
    "another format": '{"format": 99}',
    "a field that is not known": '{"format": 1, "aura": 1}',
    "a list": "[1, 2]",
    "no JSON": '{"format": 1, "sta',
    "none": None,
}
REQUESTS = {
    "no address": {"ssh_connection": None},
    "an address that is none": {"ssh_connection": "-o ProxyCommand=x"},
    "an address of another type": {"ssh_connection": 5},
    "options of another type": {"options": 5},
    "a manifest of another type": {"manifest": [1]},
    "a retry number of another type": {"manifest": [1], "retry_number": None},
}


class Left:
    """A data folder with one fleet of two tasks that had not ended, and its database laid open."""

    def __init__(self, folder: Path, build: BenchFactory) -> None:
        self._file = folder / "nodeferry.db"
        self._build = build
        first = build(data_dir=folder)
        started = _start(Api(first.service.app), closed_address(), closed_address(), options={"auto_retry": 1})
        self.fleet_id = started["fleet_id"]
        self.task_id, self.other = (task["task_id"] for task in started["tasks"])
        first.service.close()
        moved = "json_set(snapshot, '$.state', 'running', '$.revision', 7)"
        self.set(f"state = 'running', revision = 7, journal_offset = 900, snapshot = {moved}")

    def set(self, what: str, *values: Any) -> None:
        with closing(sqlite3.connect(self._file)) as database, database:
            database.execute(f"update installs set {what} where task_id = ?", (*values, self.task_id))

    def change_request(self, **fields: Any) -> None:
        with closing(sqlite3.connect(self._file)) as database:
            query = "select request from installs where task_id = ?"
            stored = json.loads(database.execute(query, (self.task_id,)).fetchone()[0])
        self.set("request = ?", json.dumps(stored | fields))

    def taken_up(self) -> Bench:
        return self._build(data_dir=self._file.parent)


@pytest.fixture
def left(tmp_path: Path, bench_factory: BenchFactory) -> Left:
    return Left(tmp_path / "left", bench_factory)


def _says_failed_everywhere(api: Api, left: Left) -> None:
    progress = api.progress(left.task_id)
    assert (progress["state"], progress["error"]["code"]) == ("failed", "record_unreadable")
    assert (progress["success"], progress["in_progress"], progress["completed"]) == (False, False, True)
    assert progress["finished_at"] and progress["message"] == progress["error"]["message"]
    task = content(api.get(f"/tasks/{left.task_id}"))
    [row] = [row for row in content(api.get("/tasks"))["tasks"] if row["task_id"] == left.task_id]
    [placed] = [row for row in _fleet(api, left.fleet_id)["instances"] if row["task_id"] == left.task_id]
    for shown in (task, row, placed):
        assert (shown["state"], shown["error"]) == ("failed", progress["error"])
    assert row["revision"] == progress["revision"] > 7, "a poll with an earlier revision gets the news"
    assert [row["task_id"] for row in content(api.get("/tasks?state=failed"))["tasks"]] == [left.task_id]
    assert _fleet(api, left.fleet_id)["states"]["failed"] == 1
    assert content(api.get("/fleet"))["fleets"][0]["states"]["failed"] == 1
    refused = api.post(f"/tasks/{left.task_id}/cancel")
    assert (refused.status_code, content(refused)["error"]) == (409, "task_not_cancellable")
    assert not (progress["retry"] or {}).get("next_attempt_at"), "what cannot be read is not retried by itself"


@pytest.mark.parametrize("stored", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_task_whose_snapshot_cannot_be_read_has_failed(left: Left, stored: str | None) -> None:
    """In this service and in the next one, which has the record alone; its request is there to be started again."""
    left.set("snapshot = ?", stored)
    for _ in range(2):
        bench = left.taken_up()
        _says_failed_everywhere(Api(bench.service.app), left)
        bench.service.close()
    api = Api(left.taken_up().service.app)
    assert api.post(f"/tasks/{left.task_id}/retry").status_code == 202


@pytest.mark.parametrize("fields", REQUESTS.values(), ids=REQUESTS)
def test_a_task_whose_request_cannot_be_read_has_failed(left: Left, fields: dict[str, Any]) -> None:
    """What is known of its packs is still shown; it cannot be repeated."""
    left.change_request(**fields)
    for _ in range(2):
        bench = left.taken_up()
        api = Api(bench.service.app)
        _says_failed_everywhere(api, left)
        refused = api.post(f"/tasks/{left.task_id}/rollback")
        assert (refused.status_code, content(refused)["error"]) == (409, "nothing_to_roll_back")
        bench.service.close()


@pytest.mark.parametrize("stored", ["[]", "5", "{", "null"])
def test_a_request_that_is_no_object_hides_no_other_record(left: Left, stored: str) -> None:
    """The lists are whole, the other task goes on, and this one has failed."""
    left.set("request = ?", stored)
    bench = left.taken_up()
    api = Api(bench.service.app)
    states = {row["task_id"]: row["state"] for row in content(api.get("/tasks"))["tasks"]}
    assert states.keys() == {left.task_id, left.other}
    assert states[left.task_id] == api.progress(left.task_id)["state"] == "failed"
    assert api.post(f"/tasks/{left.other}/cancel").status_code == 202
    assert bench.ended(left.other)["state"] == "cancelled"


def test_a_task_in_a_state_of_another_version_has_failed(left: Left) -> None:
    """In the column and in the snapshot."""
    left.set("state = 'hovering', outcome = 'most', snapshot = json_set(snapshot, '$.state', 'hovering')")
    _says_failed_everywhere(Api(left.taken_up().service.app), left)


def test_an_ended_task_whose_snapshot_cannot_be_read_is_shown_as_it_ended(left: Left) -> None:
    """As releases up to 7f86b61 left those that they could not read: a state and an error, and no snapshot."""
    error = {"code": "disk_full", "message": "The disk is full.", "hint": ""}
    left.set("state = 'failed', error = ?, finished_at = 1.5, snapshot = null", json.dumps(error))
    api = Api(left.taken_up().service.app)
    progress = api.progress(left.task_id)
    assert (progress["state"], progress["revision"]) == ("failed", 7)
    assert progress["error"].items() >= error.items()
    assert progress["finished_at"] == "1970-01-01T00:00:01.500Z"
    assert _fleet(api, left.fleet_id)["states"]["failed"] == 1


def test_what_another_service_works_on_is_not_ended_by_who_cannot_read_it(left: Left, tmp_path: Path) -> None:
    """It may be the newer version, which can."""
    left.set("snapshot = ?", SNAPSHOTS["another format"])
    engine = open_database(f"sqlite:///{left._file}")
    record = InstallStore(engine).get(left.task_id)
    assert record is not None
    assert Leases(engine, "another service").claim(left.task_id, record.lease_token)
    api = Api(left.taken_up().service.app)
    [row] = [row for row in content(api.get("/tasks"))["tasks"] if row["task_id"] == left.task_id]
    assert row["state"] == api.progress(left.task_id)["state"] == "running"
    engine.dispose()
