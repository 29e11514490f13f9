"""Many installs on one service: they do not disturb each other, and two never work in one ComfyUI."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
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


def _running(service: ServiceProcess) -> int:
    return sum(row["state"] == "running" for row in service.get("/tasks")["tasks"])
