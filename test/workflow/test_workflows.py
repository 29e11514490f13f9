"""A workflow: its steps in order, with a live task list, questions, stop, and a service that dies meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.standin.instance import StandIn
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until
from test.workflow.conftest import Workflows

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


def test_it_works(workflows: Workflows, standin: StandIn, manifest: Json) -> None:
    """Connect, install with a line a pack, verify; a missing pack makes a partial end, no failed workflow."""
    workflow_id = workflows.start(standin, manifest=manifest)
    wait_until(lambda: _line(workflows.state(workflow_id), "light") is not None, 60, "the packs are in the task list")
    shown = workflows.ended(workflow_id)
    assert shown["state"] == "completed"
    assert [step["name"] for step in shown["steps"]] == ["test_ssh", "install_custom_nodes", "verify_dependencies"]
    assert [step["status"] for step in shown["steps"]] == ["success", "success", "partial"]
    assert shown["steps"][0]["found"]["ui_home"] == str(standin.ui_home)
    names = [line["name"] for line in shown["steps"][1]["tasks"]]
    assert names == ["Connect", "Configure venv path", "heavy", "light", "gone"]
    assert _line(shown, "gone")["status"] == "failed"
    assert shown["steps"][2]["message"] == "2 of 3 node packs load in ComfyUI"


def test_the_task_list_of_a_run_that_goes_on_is_live(workflows: Workflows, standin: StandIn, manifest: Json) -> None:
    """The revision grows with the install's own, and a pack is seen on its way."""
    workflow_id = workflows.start(standin, manifest=manifest)
    seen: list[Json] = []

    def on_its_way() -> bool:
        seen.append(workflows.state(workflow_id))
        line = _line(seen[-1], "heavy")
        return line is not None and bool(line["status"] == "running")

    wait_until(on_its_way, 60, "heavy is being cloned")
    revisions = [shown["revision"] for shown in seen]
    assert revisions == sorted(revisions)
    assert seen[-1]["current_step"] == "install_custom_nodes"
    assert workflows.ended(workflow_id)["revision"] > revisions[-1]


def test_a_changed_host_key_is_a_question_and_accepting_it_goes_on(
    workflows: Workflows, service: ServiceProcess, standin: StandIn
) -> None:
    """Nobody is asked for what the workflow can decide; this only a person can. The question outlives the service."""
    seen = service.post("/ssh/test", {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)})
    assert seen.json()["success"] is True, seen.text
    standin.stop_sshd()
    standin.change_host_key()
    standin.start_sshd()
    workflow_id = workflows.start(standin, steps=["test_ssh"])
    asked = workflows.until(workflow_id, "blocked")
    assert asked["question"]["code"] == "host_key_changed"
    assert asked["question"]["facts"]["shown_sha256"] == standin.host_key_sha256
    service.kill()
    service.start()
    assert workflows.state(workflow_id)["question"] == asked["question"]
    assert workflows.answer(workflow_id, "perhaps")["field"] == "answer"
    assert workflows.answer(workflow_id, "accept")["status"] == 202
    assert workflows.ended(workflow_id)["state"] == "completed"
    assert workflows.answer(workflow_id, "accept")["error"] == "workflow_conflict"


def test_a_killed_service_goes_on_where_the_workflow_was(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, manifest: Json
) -> None:
    """The same install, not a second one; its steps are as they were."""
    workflow_id = workflows.start(standin, manifest=manifest)
    wait_until(lambda: _line(workflows.state(workflow_id), "heavy") is not None, 60, "the install runs")
    before = workflows.state(workflow_id)
    service.kill()
    service.start()
    assert workflows.state(workflow_id)["steps"][0] == before["steps"][0]
    shown = workflows.ended(workflow_id)
    assert shown["state"] == "completed"
    assert shown["steps"][1]["task_id"] == before["steps"][1]["task_id"]
    assert len(service.get("/tasks")["tasks"]) == 1


@pytest.mark.alone  # every other run on this machine would wait for the mark
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make /workspace")
def test_an_image_that_still_sets_itself_up_is_a_question(
    workflows: Workflows, standin: StandIn, manifest: Json, mark: Path
) -> None:
    """Looking again while it does asks again; a yes installs all the same, and the install does not wait for it."""
    workflow_id = workflows.start(standin, manifest=manifest)
    asked = workflows.until(workflow_id, "blocked")
    assert asked["question"]["code"] == "still_provisioning"
    assert asked["question"]["facts"]["paths"] == [str(mark)]
    assert workflows.answer(workflow_id, "look_again")["status"] == 202
    again = workflows.until(workflow_id, "blocked")
    assert again["revision"] > asked["revision"]
    assert workflows.answer(workflow_id, "continue")["status"] == 202
    assert workflows.ended(workflow_id)["state"] == "completed"
    assert mark.exists()
    assert (standin.custom_nodes / "light").exists()


def test_a_start_that_comes_twice_is_one_workflow(
    workflows: Workflows, service: ServiceProcess, standin: StandIn
) -> None:
    """By its idempotency key, also after a restart; another key is another one."""
    first = workflows.start(standin, steps=["test_ssh"], idempotency_key="k")
    service.kill()
    service.start()
    assert workflows.start(standin, steps=["test_ssh"], idempotency_key="k") == first
    other = workflows.start(standin, steps=["test_ssh"], idempotency_key="l")
    assert other != first
    assert {workflows.ended(each)["state"] for each in (first, other)} == {"completed"}


def test_a_stop_ends_the_install_on_the_instance_too(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, manifest: Json
) -> None:
    """What was being done is stopped, what comes after is not begun."""
    workflow_id = workflows.start(standin, manifest=manifest)
    wait_until(lambda: _line(workflows.state(workflow_id), "heavy") is not None, 60, "the install runs")
    assert service.post("/workflow/stop", {"workflow_id": workflow_id}).status_code == 202
    shown = workflows.ended(workflow_id)
    assert shown["state"] == "stopped"
    assert [step["status"] for step in shown["steps"]] == ["success", "stopped", "stopped"]
    assert service.ended(shown["steps"][1]["task_id"])["state"] == "cancelled"
    assert service.post("/workflow/stop", {"workflow_id": workflow_id}).status_code == 409


def test_a_plan_that_is_to_be_seen_first_waits_for_its_yes(
    workflows: Workflows, standin: StandIn, manifest: Json
) -> None:
    """Until then nothing is changed on the instance."""
    workflow_id = workflows.start(standin, manifest=manifest, review_plan="always")
    asked = workflows.until(workflow_id, "blocked")
    assert asked["question"]["code"] == "plan_changes_packages"
    assert not (standin.custom_nodes / "light").exists()
    workflows.answer(workflow_id, "install")
    assert workflows.ended(workflow_id)["state"] == "completed"
    assert (standin.custom_nodes / "light").exists()


def test_an_instance_that_cannot_be_reached_fails_with_its_reason(workflows: Workflows, standin: StandIn) -> None:
    """And what would have come next is skipped."""
    standin.stop_sshd()
    shown = workflows.ended(workflows.start(standin, options={"wait_seconds": 0}))
    assert (shown["state"], shown["error"]["code"]) == ("failed", "connect_failed")
    assert [step["status"] for step in shown["steps"]] == ["failed", "skipped", "skipped"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"steps": ["verify_dependencies"]}, "steps"),
        ({"steps": ["install_custom_nodes", "test_ssh"]}, "steps"),
        ({"steps": []}, "steps"),
        ({"steps": ["reboot"]}, "steps[0]"),
        ({"options": {"restart": True}}, "options.restart"),
        ({"review_plan": "maybe"}, "review_plan"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"ssh_connection": None}, "ssh_connection"),
    ],
)
def test_what_cannot_be_is_refused_by_name(service: ServiceProcess, asked: Json, field: str) -> None:
    """400 with the field, and no workflow."""
    answer = service.post("/workflow/start", {"ssh_connection": "root@127.0.0.1 -p 1", **asked})
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert service.get("/workflows")["workflows"] == []


def test_a_workflow_that_is_not_known_is_404(service: ServiceProcess) -> None:
    """By every route."""
    unknown = "550e8400-e29b-41d4-a716-446655440000"
    assert service.get("/workflow/state", workflow_id=unknown)["error"] == "workflow_not_found"
    assert service.post("/workflow/stop", {"workflow_id": unknown}).status_code == 404
    assert service.post("/workflow/resume", {"workflow_id": unknown, "answer": "stop"}).status_code == 404


def _line(shown: Json, name: str) -> Json:
    lines = [line for line in shown["steps"][1]["tasks"] if line["name"] == name]
    return lines[0] if lines else None  # type: ignore[return-value]
