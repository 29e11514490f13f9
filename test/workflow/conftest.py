"""Workflows on a real service and a stand-in instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

ENDED = {"completed", "failed", "stopped"}


class Workflows:
    """What a client does with workflows."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service

    def start(self, standin: StandIn, **request: object) -> str:
        """Starts a workflow; its id."""
        asked = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home), **request}
        answer = self.service.post("/workflow/start", asked)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["workflow_id"])

    def state(self, workflow_id: str) -> Json:
        """How it stands."""
        return self.service.get("/workflow/state", workflow_id=workflow_id)

    def until(self, workflow_id: str, *states: str, timeout: float = 90.0) -> Json:
        """Waits for one of these states; how it stands then."""
        wait_until(lambda: self.state(workflow_id)["state"] in states, timeout, f"{workflow_id} {states}")
        return self.state(workflow_id)

    def ended(self, workflow_id: str) -> Json:
        """Waits for the end."""
        return self.until(workflow_id, *ENDED)

    def answer(self, workflow_id: str, answer: str) -> Json:
        """Answers its question."""
        answered = self.service.post("/workflow/resume", {"workflow_id": workflow_id, "answer": answer})
        found: Json = answered.json() | {"status": answered.status_code}
        return found


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A running service with an empty data folder."""
    with ServiceProcess(tmp_path) as running:
        yield running


@pytest.fixture
def workflows(service: ServiceProcess) -> Workflows:
    """The service's workflows."""
    return Workflows(service)


@pytest.fixture
def manifest(git_server: GitServer) -> Json:
    """Three packs, one of them missing, one slow enough to be seen on its way."""
    heavy = make_pack(git_server, "o", "heavy", payload_bytes=2_000_000)
    git_server.set_rule("o/heavy", RepoRule(bytes_per_second=350_000))
    light = make_pack(git_server, "o", "light")
    git_server.set_rule("o/gone", MISSING)
    return {"urls": [heavy.url, light.url, f"{git_server.url}/o/gone"]}
