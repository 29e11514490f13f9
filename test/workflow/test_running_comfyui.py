"""What is done with the ComfyUI that runs on an instance: its tunnel is opened, and it is restarted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.running_comfyui import answers, pids, running_comfyui
from test.support.service import ServiceProcess
from test.support.waiting import wait_until
from test.workflow.conftest import Workflows

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
def port(standin: StandIn) -> Iterator[int]:
    """Of a ComfyUI that runs on the instance, as somebody started it."""
    with running_comfyui(standin) as number:
        yield number


def test_it_is_found_opened_restarted_and_closed(
    workflows: Workflows, service: ServiceProcess, standin: StandIn, git_server: GitServer, port: int
) -> None:
    """The test names its port; the tunnel leads there; a restart's ComfyUI is another process on the same port, behind
    the same tunnel; a closed tunnel answers nobody."""
    found = service.post("/ssh/test", {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home)}).json()
    assert (found["comfyui_port"], found["provisioning"]) == (port, [])
    pack = make_pack(git_server, "o", "light")
    task_id = service.install(standin, manifest={"urls": [pack.url]}, options={"verify": False})
    assert service.ended(task_id)["outcome"] == "all"
    where = f"/tasks/{task_id}/open"
    assert service.post(where, {}).json()["state"] == "opening"
    wait_until(lambda: service.get(where)["state"] != "opening", 30, "the tunnel is open")
    tunnel = service.get(where)
    assert tunnel["state"] == "open", tunnel
    assert answers(tunnel["url"])
    before = pids(standin)
    shown = workflows.ended(workflows.start(standin, steps=["restart_comfyui"]))
    assert shown["state"] == "completed", shown["error"]
    assert pids(standin) and not set(pids(standin)) & set(before)
    assert answers(tunnel["url"])
    answer = service.post(f"/tasks/{task_id}/restart", {})
    assert (answer.status_code, answer.json()["restart_of"]) == (202, task_id)
    assert service.ended(answer.json()["task_id"])["state"] == "completed"
    listed = {task["task_id"]: task for task in service.get("/tasks")["tasks"]}
    assert listed[answer.json()["task_id"]]["restart_of"] == task_id
    closed = requests.delete(service.url + where, timeout=30).json()
    assert (closed["state"], closed["reason"]) == ("closed", "It was closed.")
    assert not answers(tunnel["url"])


def test_the_tunnel_of_an_instance_without_a_running_comfyui_says_so(service: ServiceProcess, standin: StandIn) -> None:
    """And a restart has nothing to restart."""
    task_id = service.install(standin, manifest={"urls": ["https://127.0.0.1:1/o/gone"]}, options={"verify": False})
    service.ended(task_id)
    where = f"/tasks/{task_id}/open"
    service.post(where, {})
    wait_until(lambda: service.get(where)["state"] != "opening", 30, "it was tried")
    assert service.get(where)["error"]["code"] == "comfyui_not_running"
