"""Packs of the registry from a request to the folder on an instance, over a real sshd: what the service found is what
is installed, and one that is refused costs no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.standin.registry_archives import pack_files
from app.standin.registry_server import FLAGGED, RegistryServer, Rule
from test.api.client import content, service_in
from test.conftest import StandInFactory

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


def test_what_was_found_is_installed_and_what_is_refused_fails_alone(
    standin_factory: StandInFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with RegistryServer() as registry:
        standin = standin_factory(environ={**os.environ, "NODEFERRY_NODE_REGISTRY": registry.url}, with_pip=True)
        for version in ("1.0.0", "1.1.0"):
            registry.add("first-pack", version, pack_files("first-pack", version), classes=("FirstClass",))
        registry.add("bad-pack", "1.0.0", pack_files("bad-pack", "1.0.0"), status=FLAGGED, reason="it mines coins")
        registry.add("hinted-pack", "2.0.0", pack_files("hinted-pack", "2.0.0"))
        settings = {"registry_url": registry.url, "allowed_git_schemes": ("https", "http")}
        with service_in(tmp_path / "service", **settings) as api:
            where = {"ui_home": str(standin.ui_home), "options": {"verify": False, "wait_seconds": 0}}
            urls = ["First-Pack@v1.0.0", "bad-pack@1.0.0"]
            ended = api.ended(api.start(standin.ssh_command, manifest={"urls": urls}, **where))
            rows = {node["name"]: node for node in ended["progress"]["nodes"]}
            assert rows["first-pack"]["status"] == "success", rows
            assert rows["bad-pack"]["error"]["code"] == "registry_version_refused"
            assert "it mines coins" in rows["bad-pack"]["error"]["message"]
            assert (standin.custom_nodes / "first-pack" / ".tracking").is_file()
            assert not (standin.custom_nodes / "bad-pack").exists()

            registry.set_rule("/comfy-nodes", Rule(503))
            hints = {"cnr_id": "hinted-pack", "ver": "2.0.0"}
            graph = {"nodes": [{"id": 1, "type": "Hinted", "properties": hints}], "links": []}
            ended = api.ended(api.start(standin.ssh_command, manifest={"workflow": graph}, **where))
            (row,) = ended["progress"]["nodes"]
            assert (row["name"], row["status"]) == ("hinted-pack", "success")
            assert content(api.get("/workflow-answers"))["answers"] == []
    assert not [path for path in registry.asked if "comfy-nodes" in path], "hints alone decide"
