"""Who wants to be asked about new machines is asked, however late the machine comes, and about each host on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.standin.instance import StandIn
from test.api.client import Api, content, service_in
from test.conftest import StandInFactory
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd
PACK = {"urls": ["https://github.com/nobody/nothing"]}
ASK = {"first_contact": "ask", "verify": False, "wait_seconds": 60}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """For a user without SSH files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with service_in(tmp_path / "service") as running:
        yield running


def pinned(api: Api) -> set[str]:
    return {key["sha256"] for key in content(api.get("/host-keys"))["host_keys"]}


def accepted(api: Api, command: str, sha256: str) -> int:
    return api.post("/host-keys/accept", {"ssh_connection": command, "sha256": sha256}).status_code


def failure(api: Api, task_id: str) -> str | None:
    error = api.ended(task_id)["progress"]["error"]
    return str(error["code"]) if error else None


def test_an_install_that_waits_for_its_machine_trusts_no_key_unasked(api: Api, standin: StandIn) -> None:
    """Nor does its rollback, after the key was forgotten."""
    standin.stop_sshd()
    asked: dict[str, Any] = {"manifest": PACK, "options": ASK, "ui_home": str(standin.ui_home)}
    task_id = api.start(standin.ssh_command, **asked)
    wait_until(lambda: api.progress(task_id)["message_code"] == "waiting_for_instance", 30, "it waits")
    standin.start_sshd()
    assert failure(api, task_id) == "host_key_unknown"
    assert pinned(api) == set()
    assert accepted(api, standin.ssh_command, standin.host_key_sha256) == 200
    again = str(content(api.post(f"/tasks/{task_id}/retry"))["task_id"])
    assert failure(api, again) is None
    assert api.send("DELETE", f"/host-keys/127.0.0.1:{standin.port}", json={}).status_code == 200
    opened = content(api.post(f"/tasks/{again}/restart"))
    assert failure(api, str(opened["task_id"])) == "host_key_unknown"
    assert pinned(api) == set()


def test_a_workflow_asks_when_its_machine_comes(api: Api, standin: StandIn) -> None:
    standin.stop_sshd()
    body = {"ssh_connection": standin.ssh_command, "ui_home": str(standin.ui_home), "manifest": PACK}
    options = {name: value for name, value in ASK.items() if name != "verify"}
    started = api.post("/workflow/start", body | {"options": options})
    assert started.status_code == 202, started.text
    workflow_id = content(started)["workflow_id"]

    def state() -> dict[str, Any]:
        return content(api.get(f"/workflow/state?workflow_id={workflow_id}"))

    wait_until(lambda: "Waiting" in str(state()["steps"][0]["message"]), 30, "it waits")
    standin.start_sshd()
    wait_until(lambda: state()["state"] == "blocked", 30, "it asks")
    question = state()["question"]
    assert (question["code"], question["title"]) == ("host_key_new", "First time on this machine")
    assert (question["facts"]["shown_sha256"], pinned(api)) == (standin.host_key_sha256, set())
    answer = api.post("/workflow/resume", {"workflow_id": workflow_id, "answer": "accept"})
    assert answer.status_code == 202, answer.text
    wait_until(lambda: state()["steps"][0]["status"] == "success", 60, "it goes on")
    assert pinned(api) == {standin.host_key_sha256}


def test_each_host_on_the_way_is_asked_about(api: Api, standin_factory: StandInFactory, tmp_path: Path) -> None:
    """First the jump host, whose key is accepted by its own fingerprint; so is another key of it, later."""
    jump, target = standin_factory(name="jump"), standin_factory(name="target")
    (tmp_path / ".ssh").mkdir(mode=0o700, exist_ok=True)
    (tmp_path / ".ssh" / "config").write_text(
        f"Host jump\n HostName 127.0.0.1\n Port {jump.port}\n User {jump.user}\n IdentityFile {jump.client_key}\n"
    )
    command = target.ssh_command.replace("ssh ", "ssh -J jump ", 1)

    def look() -> tuple[str | None, str]:
        body = {"ssh_connection": command, "ui_home": str(target.ui_home), "first_contact": "ask"}
        found = content(api.post("/ssh/test", body))
        return found.get("error"), found["host_key"]["sha256"]

    assert look() == ("host_key_unknown", jump.host_key_sha256)
    assert pinned(api) == set()
    assert accepted(api, command, "SHA256:" + "A" * 43) == 409
    assert accepted(api, command, jump.host_key_sha256) == 200
    assert look() == ("host_key_unknown", target.host_key_sha256)
    assert accepted(api, command, target.host_key_sha256) == 200
    assert look() == (None, target.host_key_sha256)
    jump.stop_sshd()
    jump.change_host_key()
    jump.start_sshd()
    assert look() == ("host_key_mismatch", jump.host_key_sha256)
    assert accepted(api, command, jump.host_key_sha256) == 200
    assert look() == (None, target.host_key_sha256)
    assert pinned(api) == {jump.host_key_sha256, target.host_key_sha256}
