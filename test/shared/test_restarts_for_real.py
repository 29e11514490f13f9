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


def _hears(service: ServiceProcess, task_id: str, since: float) -> bool:
    """Whether the runner was heard after that moment."""
    progress = service.progress(task_id)
    ago = progress["last_event_seconds_ago"]
    return progress["state"] == "running" and ago is not None and ago < time.monotonic() - since


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
        wait_until(lambda: "(lease 2)" in service.log, AT_ONCE, f"it works on it again\n{service.log[-3000:]}")
        wait_until(lambda: _hears(service, task_id, began), 15, "the runner is heard again")
        gate.open()
        assert service.ended(task_id)["state"] == "completed"
