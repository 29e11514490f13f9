"""Workflows that asked a person something when the last release was stopped: today's service takes the answer."""

from __future__ import annotations

import pytest

from test.api.client import content
from test.support.waiting import wait_until
from test.upgrade.conftest import Restore
from test.upgrade.recorded import RECORDING, Restored

WORKFLOWS = RECORDING["workflows"]


def _answer(restored: Restored, name: str, answer: str) -> int:
    given = {"workflow_id": WORKFLOWS[name], "answer": answer}
    return restored.api.post("/workflow/resume", given).status_code


def _ended(restored: Restored, name: str) -> str:
    wait_until(lambda: not restored.workflow(name)["in_progress"], 120, f"the workflow {name} ends")
    return str(restored.workflow(name)["state"])


@pytest.mark.parametrize("name", ["asks-plan", "asks-host-key"])
def test_a_question_can_be_answered_with_stop(restore: Restore, name: str) -> None:
    """No instance is needed for that. An answer that is none is refused as before."""
    restored = restore()
    restored.serve()
    assert _answer(restored, name, "perhaps") == 409
    assert _answer(restored, name, "stop") == 202
    assert _ended(restored, name) == "stopped"


@pytest.mark.sshd
@pytest.mark.slow
def test_a_changed_host_key_that_is_accepted_is_pinned(restore: Restore) -> None:
    """The key that the question shows, which is the stand-in's."""
    restored = restore("changed")
    api = restored.serve()
    assert _answer(restored, "asks-host-key", "accept") == 202
    assert _ended(restored, "asks-host-key") == "completed"
    pinned = [row["sha256"] for row in content(api.get("/host-keys"))["host_keys"]]
    assert restored.standins["changed"].host_key_sha256 in pinned


@pytest.mark.sshd
@pytest.mark.slow
def test_a_plan_that_is_approved_is_installed(restore: Restore) -> None:
    """By today's runner, behind the run of another workflow on that instance, which had ended meanwhile."""
    restored = restore("flows")
    restored.run_folder("flows", "workflow-running", "journal-ended.ndjson")
    restored.serve()
    planned = restored.workflow("asks-plan")["steps"][1]["plan_task_id"]
    assert _answer(restored, "asks-plan", "install") == 202
    assert _ended(restored, "asks-plan") == "completed"
    install = restored.workflow("asks-plan")["steps"][1]
    assert install["plan_task_id"] == planned != install["task_id"]
    assert content(restored.api.get(f"/tasks/{install['task_id']}"))["request"]["options"]["plan_only"] is False


def test_a_workflow_that_cannot_be_read_hides_no_other(restore: Restore) -> None:
    """The service starts, and the others are listed and can be answered."""
    restored = restore()
    restored.sql("update workflows set document = '{}' where workflow_id = ?", WORKFLOWS["running"])
    api = restored.serve()
    listed = {row["workflow_id"] for row in content(api.get("/workflows"))["workflows"]}
    assert listed == set(WORKFLOWS.values()) - {WORKFLOWS["running"]}
    assert api.get(f"/workflow/state?workflow_id={WORKFLOWS['running']}").status_code == 404
    assert _answer(restored, "asks-plan", "stop") == 202
