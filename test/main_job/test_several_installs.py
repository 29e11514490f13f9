"""Many installs on one service: they do not disturb each other, and two never work in one ComfyUI."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.conftest import StandInFactory
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd


def test_five_installs_on_five_instances_do_not_disturb_each_other(
    service: ServiceProcess, git_server: GitServer, standin_factory: StandInFactory
) -> None:
    """Each gets its own packs, and all of them, while the others run."""
    packs = {number: [make_pack(git_server, f"o{number}", f"p{number}-{i}") for i in range(4)] for number in range(5)}
    for number in packs:
        git_server.set_rule(f"o{number}/p{number}-0", RepoRule(latency_seconds=0.5))
    with ThreadPoolExecutor(5) as pool:
        standins = list(pool.map(lambda _: standin_factory(), range(5)))
    tasks = [
        service.install(standin, manifest={"urls": [pack.url for pack in packs[number]]})
        for number, standin in enumerate(standins)
    ]
    wait_until(lambda: _running(service) == 5, 20, "all five run at once")
    for number, task_id in enumerate(tasks):
        last = service.ended(task_id)
        assert last["outcome"] == "all"
        assert {row["name"]: row["commit"] for row in last["nodes"]} == {p.name: p.commit for p in packs[number]}
        assert {path.name for path in standins[number].custom_nodes.glob("p*")} == {p.name for p in packs[number]}


def test_a_second_install_in_the_same_comfyui_waits_for_the_first(
    service: ServiceProcess, git_server: GitServer, standin: StandIn
) -> None:
    """It says for which one it waits, has no connection meanwhile, and runs once that one has ended."""
    slow, other = make_pack(git_server, "o", "slow", payload_bytes=400_000), make_pack(git_server, "o", "other")
    git_server.set_rule("o/slow", RepoRule(bytes_per_second=200_000))
    first = service.install(standin, manifest={"urls": [slow.url]})
    second = service.install(standin, manifest={"urls": [other.url]})
    service.until(first, "running")
    waiting = service.progress(second)
    assert waiting["state"] == "queued"
    assert waiting["message_code"] == "waiting_for_install"
    assert first in waiting["message"]
    assert service.ended(second)["outcome"] == "all"
    rows = {row["task_id"]: row for row in service.get("/tasks")["tasks"]}
    assert rows[first]["finished_at"] <= rows[second]["started_at"]


def _running(service: ServiceProcess) -> int:
    return sum(row["state"] == "running" for row in service.get("/tasks")["tasks"])
