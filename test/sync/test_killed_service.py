"""A service that is killed in the middle of an install, and the next one on its data folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.standin.instance import StandIn
from app.standin.packs import Pack
from test.support.waiting import wait_until
from test.sync.conftest import BenchFactory, Gate

pytestmark = pytest.mark.sshd

SERVICE = """
import json, pathlib, sys, threading
from app.domain.address import parse_address
from app.domain.request import InstallRequest
from app.factory import build_service
from app.settings import Settings
data_dir, command, ui_home, nodes = sys.argv[1:]
service = build_service(Settings(data_dir=pathlib.Path(data_dir), allowed_git_schemes=("http",)))
request = InstallRequest(command, parse_address(command), ui_home=ui_home, manifest={"nodes": json.loads(nodes)})
task_id = service.installs.start(request).task_id
while (progress := service.installs.progress(task_id))["phase"] != "scripts":
    threading.Event().wait(0.01)
print(json.dumps({"task_id": task_id, "revision": progress["revision"]}), flush=True)
threading.Event().wait()
"""


def test_a_killed_service_loses_nothing(
    bench_factory: BenchFactory, instance: StandIn, packs: list[Pack], gate: Gate, tmp_path: Path
) -> None:
    """The run goes on, the next service attaches to it once, the revision never falls, and the end is complete."""
    status = _run_until_scripts_and_kill(tmp_path / "data", instance, [*packs, gate.pack])
    task_id = status["task_id"]
    bench = bench_factory(data_dir=tmp_path / "data")
    assert bench.installs.progress(task_id)["revision"] >= status["revision"]
    bench.until(task_id, lambda progress: progress["state"] == "running", "it is attached")
    gate.open()
    end = bench.ended(task_id)
    assert (end["state"], end["outcome"], end["successful"]) == ("completed", "all", 4), end
    journal = (instance.home / ".local/state/nodeferry" / task_id / "journal.ndjson").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "run_started" for line in journal) == 1
    record = bench.service.installs.task(task_id)
    assert record["progress"]["successful"] == 4
    wait_until(lambda: instance.connections() == 0, what="no connection is left")


def _run_until_scripts_and_kill(data_dir: Path, instance: StandIn, packs: list[Pack]) -> dict[str, Any]:
    """What a service in a process of its own had shown when it was killed."""
    nodes = json.dumps([{"name": pack.name, "repo_url": pack.url} for pack in packs])
    argv = [sys.executable, "-c", SERVICE, str(data_dir), instance.ssh_command, str(instance.ui_home), nodes]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            status: dict[str, Any] = json.loads(service.stdout.readline())
        finally:
            service.kill()
    return status
