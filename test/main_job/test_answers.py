"""Polls are answered from what is known here: the instance is never asked."""

from __future__ import annotations

import pytest

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd


def test_a_poll_is_answered_while_the_sshd_is_stopped(
    service: ServiceProcess, git_server: GitServer, standin: StandIn
) -> None:
    """In the middle of a clone nothing listens on the instance any more; what is known is still told."""
    slow = make_pack(git_server, "o", "slow", payload_bytes=600_000)
    git_server.set_rule(slow.repo, RepoRule(bytes_per_second=200_000))
    task_id = service.install(standin, manifest={"urls": [slow.url]}, options={"verify": False})
    assert service.progress(task_id)["phase"]
    wait_until(lambda: service.progress(task_id)["nodes"], 20, "the manifest is told")
    standin.stop_sshd()
    standin.kill_connections()
    shown = [service.progress(task_id) for _ in range(20)]
    assert [[row["name"] for row in progress["nodes"]] for progress in shown] == [["slow"]] * 20
    assert standin.connections() == 0
    standin.start_sshd()
    assert service.ended(task_id)["outcome"] == "all"
