"""What the last release had recorded is answered as it answered it: tasks, lists, fleets, workflows, locks, logs.

The answers may have new fields. None that the release gave is gone, and none says something else.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import Any

import pytest

from test.api.client import content
from test.support.waiting import wait_until
from test.upgrade.conftest import Restore
from test.upgrade.recorded import RECORDING, TASKS, Json, Restored, differences, names

MOVED = ("finished_at", "next_attempt_at", "elapsed_seconds", "elapsed_time")
"""Of the one task whose end `taken_up` has moved to now."""


def _lost(was: Any, now: Any, *but: str) -> list[str]:
    """The differences, but for fields that `but` names."""
    return [each for each in differences(was, now) if each.partition(":")[0].rpartition(".")[2] not in but]


def _get(restored: Restored, path: str) -> Json:
    answer = restored.api.get(path)
    assert answer.status_code == 200, answer.text
    return content(answer)


@pytest.mark.parametrize("name", names("expected/tasks"))
def test_an_ended_task_is_answered_as_it_was(taken_up: Restored, name: str) -> None:
    """The task, and its progress by the route that clients poll."""
    was, moved = taken_up.expected(f"tasks/{name}"), MOVED if name == "pending-retry" else ()
    assert _lost(was, taken_up.task(name), *moved) == []
    assert _lost(was["progress"], taken_up.progress(name), *moved) == []
    known = taken_up.api.progress(TASKS[name], since=was["progress"]["revision"])
    assert known["unchanged"] is True, "a client that had polled the release has no news"


def test_the_history_has_every_task_in_its_order(taken_up: Restored) -> None:
    """Rows of what had ended are equal; of what goes on, the place is."""
    was, now = taken_up.expected("tasks")["tasks"], _get(taken_up, "/tasks?limit=200")["tasks"]
    assert [row["task_id"] for row in now] == [row["task_id"] for row in was]
    assert len(was) == len(TASKS) == 36
    for before, after in zip(was, now, strict=True):
        if not before["in_progress"]:
            moved = MOVED if before["task_id"] == TASKS["pending-retry"] else ()
            assert _lost(before, after, *moved) == []


def test_the_history_comes_in_pages(taken_up: Restored) -> None:
    """From the release's first page by each one's cursor to the end; a cursor that the release gave goes on, too."""
    first = taken_up.expected("tasks-page-1")
    found, path = [], "/tasks?limit=5"
    while True:
        page = _get(taken_up, path)
        found.append([row["task_id"] for row in page["tasks"]])
        if page["next_cursor"] is None:
            break
        path = f"/tasks?limit=5&cursor={page['next_cursor']}"
    assert found[0] == [row["task_id"] for row in first["tasks"]]
    assert list(chain.from_iterable(found)) == [row["task_id"] for row in taken_up.expected("tasks")["tasks"]]
    second = _get(taken_up, f"/tasks?limit=5&cursor={first['next_cursor']}")["tasks"]
    assert [row["task_id"] for row in second] == found[1]


def test_the_history_can_be_filtered(taken_up: Restored) -> None:
    """By state and by instance."""
    was = taken_up.expected("tasks-failed")["tasks"]
    assert _lost(was, _get(taken_up, "/tasks?state=failed")["tasks"], *MOVED[:1]) == []
    rows = taken_up.expected("tasks")["tasks"]
    instance = taken_up.expected("tasks/partial")["instance"]
    here = _get(taken_up, f"/tasks?limit=200&instance={instance}")["tasks"]
    assert [row["task_id"] for row in here] == [row["task_id"] for row in rows if row["instance"] == instance]
    assert 5 < len(here) < len(rows)


@pytest.mark.parametrize("name", names("expected/workflows"))
def test_a_workflow_is_answered_as_it_was(taken_up: Restored, name: str) -> None:
    """Its steps, its task list and its question; only a question that waits for its answer goes on counting."""
    was, now = taken_up.expected(f"workflows/{name}"), taken_up.workflow(name)
    for before, after in zip(was["steps"], now["steps"], strict=True):
        if before["status"] == "blocked":
            before["seconds"] = after["seconds"]
    assert _lost(was, now) == []


def test_fleets_workflows_and_pins_are_listed_as_they_were(taken_up: Restored) -> None:
    """A fleet that had ended is equal in each of its rows."""
    assert _lost(taken_up.expected("workflows"), _get(taken_up, "/workflows")) == []
    assert _lost(taken_up.expected("fleets"), _get(taken_up, "/fleet")) == []
    fleet = _get(taken_up, f"/fleet/{RECORDING['fleets']['fleet']}")
    assert _lost(taken_up.expected("fleets/fleet"), fleet) == []
    assert _lost(taken_up.expected("host-keys"), _get(taken_up, "/host-keys")) == []


def test_locks_and_logs_are_answered_as_they_were(taken_up: Restored) -> None:
    """A lock in both of its forms; a run's log and a pack's."""
    for form in ("lock", "manager-snapshot"):
        now = _get(taken_up, f"/tasks/{TASKS['packages']}/lock?format={form}")
        assert _lost(taken_up.expected(f"locks/packages/{form}"), now) == []
    log = f"/tasks/{TASKS['partial']}/log"
    assert _lost(taken_up.expected("logs/run"), _get(taken_up, log)) == []
    assert _lost(taken_up.expected("logs/node-failing"), _get(taken_up, f"{log}?node=failing")) == []


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("running", "interrupted"),
        ("interrupted", "interrupted"),
        ("workflow-running", "interrupted"),
        ("started", "interrupted"),
        ("cancelling", "cancelling"),
        ("queued", "queued"),
        ("fleet-waiting-main", "queued"),
        ("fleet-waiting-second", "queued"),
    ],
)
def test_what_had_not_ended_goes_on_from_where_it_was(taken_up: Restored, name: str, state: str) -> None:
    """No instance is in reach: the packs are as the release had shown them, and nothing goes back."""
    wait_until(lambda: taken_up.progress(name)["state"] == state, 120, f"{name} is {state}")  # its connection is tried
    now = taken_up.progress(name)
    assert now["in_progress"] is True
    if name in names("expected/killed/tasks"):
        was = taken_up.expected(f"killed/tasks/{name}")["progress"]
        assert _lost(was["nodes"], now["nodes"]) == []
        assert (now["revision"], now["percent"]) >= (was["revision"], was["percent"])
        assert _lost(was["retry"], now["retry"]) == []


def test_a_waiting_fleet_is_still_one(taken_up: Restored) -> None:
    """Its tasks wait behind the same installs."""
    fleet = _get(taken_up, f"/fleet/{RECORDING['fleets']['fleet-waiting']}")
    was = taken_up.expected("killed/fleets/fleet-waiting")
    assert fleet["states"] == was["states"] and fleet["in_progress"] is True
    assert [row["task_id"] for row in fleet["instances"]] == [row["task_id"] for row in was["instances"]]


def test_what_another_service_still_holds_is_left_to_it(restore: Restore) -> None:
    """Its lease is respected as the release did; the rest goes on."""
    restored = restore()
    held = "lease_owner = 'elsewhere:/data', lease_expires_at = ?"
    restored.sql(f"update installs set {held} where task_id = ?", time.time() + 600.0, TASKS["running"])
    restored.serve()
    wait_until(lambda: restored.progress("interrupted")["attempt"] == 2, 120, "what is nobody's is taken up")
    assert restored.progress("running")["state"] == "running"
    assert restored.progress("running")["revision"] == restored.expected("killed/tasks/running")["revision"]


def test_what_ended_can_be_forgotten_and_the_rest_stays(restore: Restore) -> None:
    """With what an unfinished task refers to; the release's own files of the forgotten tasks go too."""
    restored = restore()
    restored.serve()
    answer = restored.api.post("/tasks/prune", {"older_than_days": 0})
    assert answer.status_code == 200, answer.text
    left = {row["task_id"] for row in _get(restored, "/tasks?limit=200")["tasks"]}
    going_on = {row["task_id"] for row in restored.expected("tasks")["tasks"] if row["in_progress"]}
    assert going_on <= left
    assert not left & {TASKS[name] for name in ("all", "partial", "cancelled", "lock")}
    assert not (restored.data_dir / "progress" / f"{TASKS['partial']}.json").exists()
    assert (restored.data_dir / "progress" / f"{TASKS['queued']}.json").exists()
