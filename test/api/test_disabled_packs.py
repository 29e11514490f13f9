"""ComfyUI-Manager's snapshot with a disabled pack, restored over a real sshd: what comes out is what went in."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.api.client import content, service_in

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


def test_a_snapshot_with_a_disabled_pack_comes_back(
    standin: StandIn, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as skipped, the run is whole, the written snapshot is the same, and a rollback takes it away."""
    monkeypatch.setenv("HOME", str(tmp_path))
    on, off = (make_pack(git_server, "owner", name) for name in ("On", "Off"))
    snapshot = {
        "git_custom_nodes": {
            off.url: {"hash": off.commit, "disabled": True},
            on.url: {"hash": on.commit, "disabled": False},
        },
        "cnr_custom_nodes": {},
        "file_custom_nodes": [],
    }
    settings = {"allowed_git_schemes": ("https", "http")}
    with service_in(tmp_path / "service", **settings) as api:
        where = {"ui_home": str(standin.ui_home), "options": {"verify": False, "wait_seconds": 0}}
        checked = content(api.post("/manifests/check", {"manifest": {"manager_snapshot": snapshot}}))
        assert checked["left_out"] == []
        assert [node["name"] for node in checked["nodes"] if node["disabled"]] == ["Off"]
        task_id = api.start(standin.ssh_command, manifest={"manager_snapshot": snapshot}, **where)
        progress = api.ended(task_id)["progress"]
        rows = {node["name"]: (node["standing"], (node["error"] or {}).get("code")) for node in progress["nodes"]}
        assert rows == {
            "Off": ("skipped", "put_aside_disabled"),
            "On": ("ready", None),
        }
        assert (progress["outcome"], progress["warnings"]) == ("all", [])
        written = content(api.get(f"/tasks/{task_id}/lock?format=manager-snapshot"))
        assert {name: written[name] for name in snapshot} == snapshot
        assert (standin.custom_nodes / ".disabled" / "Off" / ".git").is_dir()
        back = content(api.post(f"/tasks/{task_id}/rollback"))
        assert api.ended(back["task_id"])["progress"]["state"] == "completed"
        assert not (standin.custom_nodes / ".disabled" / "Off").exists()
