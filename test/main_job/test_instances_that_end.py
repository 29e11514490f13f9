"""Instances that are destroyed, replaced or restarted in the middle of an install: the task says which."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from app.standin.processes import command_line, processes_below
from app.standin.sshd import _make_key
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service that tries a cut line for 3 s."""
    with ServiceProcess(tmp_path, reconnect_seconds="3", connect_timeout_seconds="5") as running:
        yield running


@pytest.fixture
def manifest(git_server: GitServer) -> Json:
    """A pack that takes long."""
    pack = make_pack(git_server, "o", "heavy", payload_bytes=3_000_000)
    git_server.set_rule(pack.repo, RepoRule(bytes_per_second=100_000))
    return {"urls": [pack.url]}


def _until_cloning(service: ServiceProcess, standin: StandIn, manifest: Json) -> str:
    task_id = service.install(standin, manifest=manifest, options={"verify": False})
    wait_until(lambda: any(row["state"] == "cloning" for row in service.progress(task_id)["nodes"]), 30, "it clones")
    return task_id


def test_a_cut_line_shows_why_which_try_is_next_and_when(
    service: ServiceProcess, standin: StandIn, manifest: Json
) -> None:
    """While the instance is away the number grows; once it is back there is none."""
    task_id = _until_cloning(service, standin, manifest)
    assert service.progress(task_id)["next_attempt_at"] is None
    standin.stop_sshd()
    first = service.until(task_id, "interrupted")
    assert (first["message_code"], first["attempt"]) == ("interrupted", 1)
    assert first["message"]
    due = datetime.fromisoformat(first["next_attempt_at"])
    wait_until(lambda: (service.progress(task_id)["attempt"] or 0) >= 3, 30, "it is tried again and again")
    later = service.progress(task_id)
    assert datetime.fromisoformat(later["next_attempt_at"]) > due
    assert str(standin.port) in later["message"]
    standin.start_sshd()
    again = service.until(task_id, "running")
    assert (again["attempt"], again["next_attempt_at"]) == (None, None)
    service.post(f"/tasks/{task_id}/cancel", {})
    service.ended(task_id)


def test_an_instance_that_is_gone_for_good_fails_the_task(
    impatient: ServiceProcess, standin: StandIn, manifest: Json
) -> None:
    """After `reconnect_seconds`, with what the last try met."""
    task_id = _until_cloning(impatient, standin, manifest)
    standin.stop_sshd()
    last = impatient.ended(task_id, 60)
    assert (last["state"], last["error"]["code"]) == ("failed", "connect_failed")
    assert "not reached again within 3 s" in last["error"]["message"]
    assert "retry" in last["error"]["hint"]


def test_another_machine_at_the_same_address_fails_the_task_at_once(
    service: ServiceProcess, standin: StandIn, manifest: Json
) -> None:
    """By its host key; nobody logs in there."""
    task_id = _until_cloning(service, standin, manifest)
    standin.stop_sshd()
    key = standin._sshd._folder / "host_key"
    for old in (key, key.with_suffix(".pub")):
        old.unlink()
    _make_key(key)
    standin.start_sshd()
    last = service.ended(task_id, 60)
    assert (last["state"], last["error"]["code"]) == ("failed", "host_key_mismatch")
    assert "forget" in last["error"]["hint"]


def test_an_instance_that_was_restarted_in_the_middle_offers_a_retry(
    service: ServiceProcess, standin: StandIn, manifest: Json
) -> None:
    """The runner is gone and what it noted is of another boot: the task says so, and its staging is removed."""
    task_id = _until_cloning(service, standin, manifest)
    standin.stop_sshd()
    for process in processes_below(standin.root):
        if task_id in command_line(process) or "heavy" in command_line(process):
            os.kill(process.pid, signal.SIGKILL)
    groups = standin.home / ".local/state/nodeferry" / task_id / "groups"
    lines = [line.split() for line in groups.read_text("ascii").splitlines()]
    groups.write_text("".join(f"{group} {started} another-boot\n" for group, started, _ in lines), "ascii")
    standin.start_sshd()
    last = service.ended(task_id, 60)
    assert (last["state"], last["error"]["code"]) == ("failed", "runner_lost")
    assert "restarted" in last["error"]["message"]
    assert "retry" in last["error"]["hint"].lower()
    assert [path for path in standin.custom_nodes.iterdir() if path.name.startswith(".nodeferry")] == []
