"""A workflow whose machine does not answer says when it is tried again, and tries it now for whoever knows better."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from test.support.ports import closed_port
from test.support.service import ServiceProcess
from test.support.waiting import wait_until
from test.workflow.conftest import Workflows

pytestmark = [pytest.mark.slow]


@pytest.fixture
def waiting(service: ServiceProcess) -> str:
    """A workflow whose machine refuses connections, which is tried again in more than two seconds."""
    asked = {"ssh_connection": f"root@127.0.0.1 -p {closed_port()}", "options": {"wait_seconds": 600}}
    workflow_id = str(service.post("/workflow/start", asked).json()["workflow_id"])
    wait_until(lambda: _seconds_left(_step(service, workflow_id)) > 2, 30, "the pauses grow")
    return workflow_id


def test_the_next_try_comes_when_it_is_asked_for(service: ServiceProcess, workflows: Workflows, waiting: str) -> None:
    """Long before it was due; the run says that it waits, as a run without a workflow does."""
    before = _step(service, waiting)
    assert before["message"].startswith("Waiting for the instance: ")
    assert service.get(f"/runs/{waiting}")["summary"]["kind"] == "waiting_for_machine"
    answer = service.post("/workflow/reconnect", {"workflow_id": waiting})
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    wait_until(lambda: _step(service, waiting)["next_attempt_at"] != before["next_attempt_at"], 20, "another try")
    assert service.post("/workflow/stop", {"workflow_id": waiting}).status_code == 202
    stopped = workflows.ended(waiting)
    assert stopped["steps"][0]["next_attempt_at"] is None


def test_what_does_not_wait_cannot_be_tried_now(service: ServiceProcess, workflows: Workflows, waiting: str) -> None:
    """409, as for a task."""
    service.post("/workflow/stop", {"workflow_id": waiting})
    workflows.ended(waiting)
    answer = service.post("/workflow/reconnect", {"workflow_id": waiting})
    assert (answer.status_code, answer.json()["error"]) == (409, "workflow_conflict")
    unknown = service.post("/workflow/reconnect", {"workflow_id": "550e8400-e29b-41d4-a716-446655440000"})
    assert unknown.status_code == 404


def _step(service: ServiceProcess, workflow_id: str) -> dict[str, Any]:
    step: dict[str, Any] = service.get("/workflow/state", workflow_id=workflow_id)["steps"][0]
    return step


def _seconds_left(step: dict[str, Any]) -> float:
    if step["next_attempt_at"] is None:
        return 0.0
    return (datetime.fromisoformat(step["next_attempt_at"]) - datetime.now(UTC)).total_seconds()
