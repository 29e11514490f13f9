"""One process on a PostgreSQL that answers and works: started again, it goes on at once, as it does with SQLite."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.standin.instance import StandIn
from test.support.service import ServiceProcess
from test.support.waiting import wait_until
from test.sync.conftest import Gate, gate, instance, instances, packs

__all__ = ["gate", "instance", "instances", "packs"]

pytestmark = [pytest.mark.sshd, pytest.mark.alone]

AT_ONCE = 3.0


def _follows(service: ServiceProcess, task_id: str) -> bool:
    progress = service.progress(task_id)
    return progress["state"] == "running" and (progress["last_event_seconds_ago"] or AT_ONCE) < 1.0


def _runs_a_script(service: ServiceProcess, task_id: str) -> bool:
    return any(node["script_status"] == "running" for node in service.progress(task_id)["nodes"])


@pytest.mark.parametrize("end", [ServiceProcess.stop, ServiceProcess.kill])
def test_what_it_ran_is_followed_again_within_three_seconds(
    tmp_path: Path, postgresql_url: str, instance: StandIn, gate: Gate, end: object
) -> None:
    assert callable(end)
    with ServiceProcess(tmp_path, database_url=postgresql_url) as service:
        manifest = {"nodes": [{"name": gate.pack.name, "repo_url": gate.pack.url}]}
        task_id = service.install(instance, manifest=manifest, options={"verify": False})
        wait_until(lambda: _runs_a_script(service, task_id), 60, "its script runs")
        end(service)
        service.start()
        began = time.monotonic()
        wait_until(lambda: _follows(service, task_id), AT_ONCE + 5.0, f"it is followed again\n{service.log[-3000:]}")
        assert time.monotonic() - began < AT_ONCE
        gate.open()
        assert service.ended(task_id)["state"] == "completed"
