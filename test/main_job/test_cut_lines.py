"""Whatever happens to the line, the runner goes on and the end is told as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from app.standin.relay import Relay
from test.support.service import Json, ServiceProcess, essence
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd


@pytest.fixture
def manifest(git_server: GitServer) -> Json:
    """A manifest that takes seconds: two good packs, one that installs nothing but a script, one that is missing."""
    heavy = make_pack(git_server, "o", "heavy", payload_bytes=3_000_000)
    git_server.set_rule("o/heavy", RepoRule(bytes_per_second=750_000))
    light = make_pack(git_server, "o", "light")
    scripted = make_pack(git_server, "o", "scripted", install_py="print('done')\n")
    git_server.set_rule("o/gone", MISSING)
    return {"urls": [heavy.url, light.url, scripted.url, f"{git_server.url}/o/gone"]}


@pytest.fixture
def relay(standin: StandIn) -> Iterator[Relay]:
    """A relay in front of the stand-in's sshd."""
    with Relay(standin.port) as running:
        yield running


def test_a_cut_connection_changes_nothing_in_the_end(
    service: ServiceProcess, standin: StandIn, manifest: Json, undisturbed: Json
) -> None:
    """The server's side of the connection is killed in the middle of a clone."""
    task_id = service.install(standin, manifest=manifest)
    _until_cloning(service, task_id)
    standin.kill_connections()
    service.until(task_id, "interrupted", 15)
    revision = service.progress(task_id)["revision"]
    last = service.ended(task_id)
    assert last["revision"] > revision
    assert essence(last) == undisturbed


def test_a_line_that_stops_without_closing_changes_nothing_in_the_end(
    service: ServiceProcess, standin: StandIn, relay: Relay, manifest: Json, undisturbed: Json
) -> None:
    """Nothing tells that such a line is dead but its silence."""
    command = standin.ssh_command.replace(f"-p {standin.port}", f"-p {relay.port}")
    task_id = service.install(command, ui_home=str(standin.ui_home), manifest=manifest)
    _until_cloning(service, task_id)
    relay.freeze()
    service.until(task_id, "interrupted", 40)
    relay.thaw()
    last = service.ended(task_id)
    assert essence(last) == undisturbed


def test_a_killed_service_attaches_again_and_tells_what_happened_meanwhile(
    service: ServiceProcess, standin: StandIn, manifest: Json, undisturbed: Json
) -> None:
    """kill -9 in the middle; the next service on the data folder takes the install up where it was, once."""
    task_id = service.install(standin, manifest=manifest)
    _until_cloning(service, task_id)
    before = service.progress(task_id)
    service.kill()
    service.start()
    after = service.progress(task_id)
    assert after["revision"] >= before["revision"]
    assert after["percent"] >= before["percent"]
    assert after["total_nodes"] == 4
    assert essence(service.ended(task_id)) == undisturbed
    journal = standin.home / ".local/state/nodeferry" / task_id / "journal.ndjson"
    assert journal.read_text("utf-8").count('"run_started"') == 1
    assert service.get(f"/tasks/{task_id}")["progress"]["successful"] == 3
    wait_until(lambda: standin.connections() == 0, what="no connection is left")


@pytest.fixture
def undisturbed(git_server: GitServer, manifest: Json, tmp_path: Path) -> Json:
    """What a run of the manifest with nothing in its way ends with: the reasons and commits are the server's."""
    rows = []
    for url in manifest["urls"]:
        name = url.rsplit("/", 1)[1]
        gone = name == "gone"
        commit = None if gone else _head(git_server.path_of("o", name))
        rows.append(
            {
                "name": name,
                "state": "failed" if gone else "verified",
                "status": "failed" if gone else "success",
                "commit": commit,
                "requirements_status": "none",
                "script_status": "success" if name == "scripted" else "none",
                "verified": None if gone else True,
                "kept": False,
                "error": "repository_not_found" if gone else None,
            }
        )
    counts = {"state": "completed", "outcome": "partial", "total_nodes": 4, "successful": 3, "failed": 1}
    return {"nodes": rows, **counts, "processed": 4}


def _head(repository: Path) -> str:
    return (repository / "refs" / "heads" / "main").read_text("ascii").strip()


def _until_cloning(service: ServiceProcess, task_id: str) -> None:
    def heavy_moves() -> bool:
        rows = {row["name"]: row for row in service.progress(task_id)["nodes"]}
        return "heavy" in rows and 1 <= rows["heavy"]["clone_progress"] < 90

    wait_until(heavy_moves, 20, "the heavy clone moves")
