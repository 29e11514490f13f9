"""What can follow a task that the last release ended: retries, asked for and automatic, rollbacks and restarts."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from test.api.client import Api, content
from test.support.waiting import wait_until
from test.upgrade.conftest import Restore
from test.upgrade.recorded import TASKS, Json, Restored

RETRIED = {
    "partial": ["gone", "broken", "failing", "impossible"],
    "partial-retried": ["failing"],
    "none": ["missing"],
    "cancelled": ["heavy"],
    "auto-retry": ["flaky"],
    "rolled-back": ["coloured", "impossible"],
    "runner-lost": ["gated"],
    "fleet-main": ["latest"],
    "workflow-finished": ["missing"],
}
"""The packs that did not end well, by task."""
WHOLE = ("failed", "pending-retry")
"""Tasks that failed before they knew their packs."""
NOTHING = ("all", "auto-retried", "packages", "rollback", "lock", "snapshot", "repo", "restart", "everything")
"""Tasks that ended well."""
NOT_ROLLED_BACK = ("failed", "rollback", "restart", "everything", "workflow-asks-plan-plan")
"""Tasks that changed nothing, or are no installs."""


def _retried(restored: Restored, name: str) -> Json:
    """The task that repeats a recorded one."""
    answer = restored.api.post(f"/tasks/{TASKS[name]}/retry")
    assert answer.status_code == 202, answer.text
    return content(restored.api.get(f"/tasks/{content(answer)['task_id']}"))


def _of(restored: Restored, name: str) -> Any:
    return restored.task(name)["request"]


@pytest.mark.parametrize("name", RETRIED)
def test_a_retry_has_the_packs_that_did_not_end_well(taken_up: Restored, name: str) -> None:
    """On the same instance, with the same options, and each knows of the other."""
    before = taken_up.task(name)
    retry = _retried(taken_up, name)
    rows = {row["name"]: row["repo_url"] for row in before["progress"]["nodes"]}
    entries = {entry["name"]: entry["repo_url"] for entry in retry["request"]["manifest"]["nodes"]}
    assert entries == {pack: rows[pack] for pack in RETRIED[name]}
    same = ("ssh_connection", "ui_home", "venv_path")
    assert {key: retry["request"][key] for key in same} == {key: before["request"][key] for key in same}
    assert retry["request"]["options"].items() >= before["request"]["options"].items(), "newer options have defaults"
    assert (retry["retry_of"], retry["request"]["retry_number"]) == (TASKS[name], 0)
    assert taken_up.task(name)["retried_by"] == taken_up.progress(name)["retry"]["retried_by"] == retry["task_id"]
    assert retry["fleet_id"] == before["fleet_id"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_task_that_never_knew_its_packs_is_repeated_as_it_was_asked_for(taken_up: Restored, name: str) -> None:
    """Its manifest as it is."""
    assert _retried(taken_up, name)["request"]["manifest"] == _of(taken_up, name)["manifest"]


@pytest.mark.parametrize(("name", "form"), [("lock-other-python", "lock"), ("rollback", "nodes"), ("all", None)])
def test_a_failed_task_of_each_form_is_repeated_in_its_form(restore: Restore, name: str, form: str | None) -> None:
    """A lock stays a lock, a rollback a rollback of the same task, the default list the default list."""
    restored = restore()
    restored.end_at("pending-retry", time.time())
    failed = (
        "state = 'failed', outcome = null, snapshot = json_set(snapshot, '$.state', 'failed', '$.nodes', json('{}'))"
    )
    restored.sql(f"update installs set {failed} where task_id = ?", TASKS[name])
    restored.serve()
    before, retry = _of(restored, name), _retried(restored, name)["request"]
    assert list(retry["manifest"] or {None: 0}) == [form]
    for key in ("manifest", "rollback_of", "restart_of", "expected"):
        assert retry[key] == before[key], key
    assert retry["options"].items() >= before["options"].items()


def test_every_option_is_kept_by_a_retry(restore: Restore) -> None:
    """The task `everything` has another value than the default for each."""
    restored = restore()
    restored.end_at("pending-retry", time.time())
    failed = "state = 'failed', outcome = null, snapshot = json_set(snapshot, '$.state', 'failed')"
    restored.sql(f"update installs set {failed} where task_id = ?", TASKS["everything"])
    restored.serve()
    assert (
        _retried(restored, "everything")["request"]["options"].items() >= _of(restored, "everything")["options"].items()
    )


@pytest.mark.parametrize("name", NOTHING)
def test_a_task_that_ended_well_has_nothing_to_retry(taken_up: Restored, name: str) -> None:
    """The answer is the release's."""
    refused = taken_up.api.post(f"/tasks/{TASKS[name]}/retry")
    assert (refused.status_code, content(refused)["error"]) == (409, "nothing_to_retry")


@pytest.mark.parametrize("name", ["running", "queued", "cancelling", "interrupted", "started"])
def test_what_goes_on_has_no_follow_up_yet(taken_up: Restored, name: str) -> None:
    """No retry, no rollback, no restart."""
    for follow_up in ("retry", "rollback", "restart"):
        refused = taken_up.api.post(f"/tasks/{TASKS[name]}/{follow_up}")
        assert (refused.status_code, content(refused)["error"]) == (409, "task_conflict"), follow_up


@pytest.mark.parametrize("name", ["all", "partial", "packages", "lock", "repo", "runner-lost", "rolled-back"])
def test_an_install_can_be_rolled_back_and_its_comfyui_restarted(taken_up: Restored, name: str) -> None:
    """The requests name it, and go to the same instance; a restart looks for the packs that are good."""
    before = taken_up.task(name)
    for follow_up in ("rollback", "restart"):
        answer = taken_up.api.post(f"/tasks/{TASKS[name]}/{follow_up}")
        assert answer.status_code == 202, answer.text
        request = content(taken_up.api.get(f"/tasks/{content(answer)['task_id']}"))["request"]
        assert request[f"{follow_up}_of"] == TASKS[name]
        assert request["ssh_connection"] == before["request"]["ssh_connection"]
        good = [
            [row["name"], row["folder"]]
            for row in before["progress"]["nodes"]
            if follow_up == "restart" and row["state"] in ("installed", "verified")
        ]
        assert request["expected"] == good


@pytest.mark.parametrize("name", NOT_ROLLED_BACK)
def test_what_changed_nothing_is_not_rolled_back(taken_up: Restored, name: str) -> None:
    """The answer is the release's."""
    refused = taken_up.api.post(f"/tasks/{TASKS[name]}/rollback")
    assert (refused.status_code, content(refused)["error"]) == (409, "nothing_to_roll_back")


def _retries_of_pending(api: Api) -> list[Json]:
    rows = content(api.get("/tasks?limit=200"))["tasks"]
    return [row for row in rows if row["retry_of"] == TASKS["pending-retry"]]


def test_an_overdue_retry_is_started_once(restore: Restore) -> None:
    """Its time had come while no service was there; the next service does not start it again."""
    restored = restore()
    restored.end_at("pending-retry", time.time() - 3600.0)
    api = restored.serve()
    wait_until(lambda: _retries_of_pending(api), 120, "the retry is started")
    [retry] = _retries_of_pending(api)
    assert content(api.get(f"/tasks/{retry['task_id']}"))["request"]["retry_number"] == 1
    assert restored.task("pending-retry")["retried_by"] == retry["task_id"]
    wait_until(lambda: restored.progress("pending-retry")["retry"]["next_attempt_at"] is None, 20, "nothing is due")
    restored.close()
    again = restored.serve()
    assert again.post(f"/tasks/{TASKS['pending-retry']}/cancel").status_code == 409, "nothing is due any more"
    assert [row["task_id"] for row in _retries_of_pending(again)] == [retry["task_id"]]


def test_a_retry_that_is_still_to_come_can_be_called_off(restore: Restore) -> None:
    """It is due when the release had said, and after the cancel never."""
    restored = restore()
    ended_at = time.time()
    restored.end_at("pending-retry", ended_at)
    api = restored.serve()
    was = restored.expected("tasks/pending-retry")["progress"]
    pause = _seconds(was["retry"]["next_attempt_at"]) - _seconds(was["finished_at"])
    due = restored.progress("pending-retry")["retry"]["next_attempt_at"]
    assert _seconds(due) - ended_at == pytest.approx(pause, abs=0.01)
    assert api.post(f"/tasks/{TASKS['pending-retry']}/cancel").status_code == 202
    wait_until(lambda: restored.progress("pending-retry")["retry"]["next_attempt_at"] is None, 20, "nothing is due")
    restored.close()
    restored.end_at("pending-retry", ended_at - 3600.0)
    api = restored.serve()
    assert api.post(f"/tasks/{TASKS['pending-retry']}/cancel").status_code == 409
    assert _retries_of_pending(api) == []


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
