"""POST /tasks/ID/rollback: a task of its own that undoes an install."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.api.client import Api, closed_address, content, service_in
from test.conftest import StandInFactory
from test.runner.rig import names_in
from test.support.package_index import PackageIndex


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A service for a user who has no SSH files. The stand-in leads github.com to a server that speaks http."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with service_in(tmp_path / "service", allowed_git_schemes=("http", "https")) as running:
        yield running


def test_what_changed_nothing_cannot_be_undone(api: Api) -> None:
    """An install that never reached its instance, and a task that nobody knows."""
    task_id = api.start(closed_address(), options={"wait_seconds": 0})
    assert content(api.get(f"/tasks/{task_id}?wait=20"))["in_progress"] is False
    refused = api.post(f"/tasks/{task_id}/rollback", {})
    assert (refused.status_code, content(refused)["error"]) == (409, "nothing_to_roll_back")
    assert api.post(f"/tasks/{uuid.uuid4()}/rollback", {}).status_code == 404


@pytest.mark.sshd
@pytest.mark.registry
def test_planned_installed_and_undone(
    api: Api, standin_factory: StandInFactory, git_server: GitServer, index: PackageIndex, uv_program: Path
) -> None:
    """The plan is in the task and nothing is there; then all is there; then nothing is there any more."""
    index.wheel("added", "1.0")
    environ = {**os.environ, "UV_DEFAULT_INDEX": index.url, "PIP_CONFIG_FILE": os.devnull}
    standin = standin_factory(git_base_url=git_server.url, environ=environ)
    tool = standin.home / ".local" / "bin" / "uv"
    tool.parent.mkdir(parents=True)
    tool.symlink_to(uv_program)
    pack = make_pack(git_server, "owner", "new", requirements="added\n", imports=["added"])

    def install(**options: Any) -> dict[str, Any]:
        known = {"host_key_sha256": standin.host_key_sha256, **options}
        manifest = {"urls": [pack.github_url]}
        return api.ended(api.start(standin.ssh_command, ui_home=str(standin.ui_home), manifest=manifest, options=known))

    planned = install(plan_only=True)
    assert planned["progress"]["success"] is True, planned
    assert [change["package"] for change in planned["plan"]] == ["added"]
    assert names_in(standin.custom_nodes) == []
    refused = api.post(f"/tasks/{planned['task_id']}/rollback", {})
    assert content(refused)["error"] == "nothing_to_roll_back"
    installed = install()
    assert installed["progress"]["nodes"][0]["state"] == "verified", installed
    assert list(standin.venv.glob("lib/*/site-packages/added"))
    answer = api.post(f"/tasks/{installed['task_id']}/rollback", {})
    assert answer.status_code == 202
    undone = api.ended(content(answer)["task_id"])
    assert undone["request"]["rollback_of"] == installed["task_id"]
    assert undone["progress"]["success"] is True, undone
    assert undone["progress"]["nodes"][0]["error"]["code"] == "rolled_back"
    assert names_in(standin.custom_nodes) == []
    assert not list(standin.venv.glob("lib/*/site-packages/added*"))
    assert content(api.post(f"/tasks/{undone['task_id']}/rollback", {}))["error"] == "nothing_to_roll_back"
