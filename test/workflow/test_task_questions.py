"""A workflow whose install asks something: its question is the workflow's."""

from __future__ import annotations

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.manager_copies import put_disabled, put_registry_copy
from test.support.service import ServiceProcess
from test.support.waiting import wait_until
from test.workflow.conftest import Workflows

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


def test_it_is_passed_on_and_answered_there(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, git_server: GitServer
) -> None:
    """Before and after a kill of the service; an answer to a question that is gone meets no other one."""
    urls = [make_pack(git_server, "o", name).url for name in ("copied", "disabled")]
    put_registry_copy(standin.custom_nodes, "copied")
    put_disabled(standin.custom_nodes, "disabled")
    steps = ["test_ssh", "install_custom_nodes"]
    workflow_id = workflows.start(standin, manifest={"urls": urls}, options={"ask": "ask"}, steps=steps)
    asked = workflows.until(workflow_id, "blocked")
    question = asked["question"]
    assert (question["id"], question["code"], question["default"]) == ("q1", "replace_registry_copies", "keep")
    assert question["title"] == "Replace ComfyUI-Manager's copies?"
    assert [step["status"] for step in asked["steps"]] == ["success", "blocked"]
    [task] = service.get("/tasks")["tasks"]
    assert question["task_id"] == asked["steps"][1]["task_id"] == task["task_id"]
    service.kill()
    service.start()
    workflows.until(workflow_id, "blocked")
    wrong = workflows.answer(workflow_id, "burn")
    assert (wrong["status"], wrong["field"]) == (400, "answer")
    assert workflows.answer(workflow_id, "replace")["status"] == 202

    def asks_the_next() -> bool:
        now = workflows.state(workflow_id)["question"]
        return bool(now) and now["id"] == "q2"

    wait_until(asks_the_next, 60, "the second question")
    late = service.post("/workflow/resume", {"workflow_id": workflow_id, "answer": "keep", "id": "q1"})
    assert (late.status_code, late.json()["error"]) == (409, "workflow_conflict")
    assert service.post(f"/tasks/{task['task_id']}/answer", {"id": "q2", "answer": "install"}).status_code == 202
    assert workflows.ended(workflow_id)["state"] == "completed"


def test_the_steps_time_stands_still_meanwhile_and_stop_is_an_answer_too(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, git_server: GitServer
) -> None:
    """Longer than the step may take; then the install is cancelled on the instance."""
    put_disabled(standin.custom_nodes, "disabled")
    urls = [make_pack(git_server, "o", "disabled").url]
    asking = {"options": {"ask": "ask"}, "steps": ["install_custom_nodes"], "deadline_seconds": 6}
    workflow_id = workflows.start(standin, manifest={"urls": urls}, **asking)
    workflows.until(workflow_id, "blocked")
    wait_until(lambda: workflows.state(workflow_id)["steps"][0]["seconds"] > 8, 30, "its time would be over")
    assert workflows.state(workflow_id)["state"] == "blocked"
    assert workflows.answer(workflow_id, "stop")["status"] == 202
    assert workflows.ended(workflow_id)["state"] == "stopped"
    [task] = service.get("/tasks")["tasks"]
    assert service.ended(task["task_id"])["state"] == "cancelled"
