"""Packs of ComfyUI's registry on an instance: from `id@version` in a list to the folder that ComfyUI-Manager knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.protocol.states import NodeState
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from app.standin.registry_archives import pack_files, zipped
from app.standin.registry_server import BANNED, FLAGGED, RegistryServer, Rule
from test.runner.rig import Rig, Run, git

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(rig: Rig) -> Iterator[RegistryServer]:
    with RegistryServer() as registry:
        rig.environ["NODEFERRY_NODE_REGISTRY"] = registry.url
        yield registry


def differences(run: Run) -> list[str]:
    lock = run.snapshot().lock
    assert lock is not None
    found: list[str] = lock["compared"]["differences"]
    return found


def errors(run: Run) -> dict[str, str]:
    return {name: node.error.code if node.error else "" for name, node in run.snapshot().nodes.items()}


def test_a_pack_is_installed_as_manager_would_have_it(rig: Rig, registry: RegistryServer) -> None:
    """The newest and a given version; the folder is the id, `.tracking` lists the archive's entries in their order."""
    files = pack_files("impact-pack", "8.1.0", {"web/a.js": "x", "requirements.txt": ""})
    registry.add("impact-pack", "8.0.0", pack_files("impact-pack", "8.0.0"))
    registry.add("impact-pack", "8.1.0", zipped(files, folders=["empty"]))
    registry.add("other", "1.0", pack_files("other", "1.0.0"))
    registry.add("other", "2.0", pack_files("other", "2.0.0"))
    run = rig.install({"urls": ["impact-pack", "other@1.0"]})
    nodes = run.snapshot().nodes
    assert errors(run) == {"impact-pack": "", "other": ""}
    assert {node.state for node in nodes.values()} == {NodeState.INSTALLED}
    assert (nodes["impact-pack"].version, nodes["other"].version) == ("8.1.0", "1.0")
    tracking = (rig.custom_nodes / "impact-pack" / ".tracking").read_text("utf-8")
    assert tracking.split("\n") == ["empty/", *files]
    assert (rig.custom_nodes / "impact-pack" / "web/a.js").read_text() == "x"
    assert (rig.custom_nodes / "impact-pack" / "empty").is_dir()
    assert not (rig.custom_nodes / "impact-pack" / ".git").exists()
    lock = run.snapshot().lock
    assert lock is not None
    assert [pack["version"] for pack in lock["node_packs"]] == ["8.1.0", "1.0"]


def test_what_the_registry_withholds_or_does_not_have_is_told(rig: Rig, registry: RegistryServer) -> None:
    registry.add("flagged", "1.0.0", pack_files("flagged", "1.0.0"), status=FLAGGED, reason="it mines coins")
    registry.add("banned", "1.0.0", pack_files("banned", "1.0.0"))
    registry.nodes["banned"].status = BANNED
    registry.add("busy", "1.0.0", pack_files("busy", "1.0.0"))
    registry.set_rule("/nodes/busy/install", Rule(429, retry_after="0", times=1))
    registry.set_rule("/files/busy", Rule(429, retry_after="0", times=1))
    registry.add("never", "1.0.0", pack_files("never", "1.0.0"))
    registry.set_rule("/nodes/never", Rule(503))
    registry.add("wrong", "1.0.0", pack_files("wrong", "1.0.0"), sha256="0" * 64)
    registry.set_rule("/nodes/banned/install", Rule(404))
    urls = ["flagged@1.0.0", "banned", "busy", "never", "wrong", "nowhere", "busy-too@9.9"]
    registry.add("busy-too", "1.0.0", pack_files("busy-too", "1.0.0"))
    run = rig.install({"urls": urls})
    assert errors(run) == {
        "flagged": "registry_version_refused",
        "banned": "registry_version_refused",
        "busy": "",
        "never": "registry_unreachable",
        "wrong": "archive_hash_differs",
        "nowhere": "registry_pack_not_found",
        "busy-too": "registry_version_not_found",
    }
    error = run.snapshot().nodes["flagged"].error
    assert error is not None
    assert "it mines coins" in error.message
    assert sorted(path.name for path in rig.custom_nodes.iterdir() if path.is_dir()) == ["busy"]


def test_what_is_there_is_kept_updated_or_installed_anew(rig: Rig, registry: RegistryServer) -> None:
    """The old version is kept aside, the user's own files go along, and a rollback puts all back."""
    old = pack_files("pack", "1.0.0", {"gone.py": "1", "config.json": "{}"})
    registry.add("pack", "1.0.0", old)
    first = rig.install({"urls": ["pack@1.0.0"]})
    folder = rig.custom_nodes / "pack"
    (folder / "models").mkdir()
    (folder / "models" / "mine.bin").write_text("mine")
    registry.add("pack", "1.2.0", pack_files("pack", "1.2.0", {"new.py": "2"}))
    asked = len(registry.asked)
    kept = rig.install({"urls": ["pack@1.2.0"]})
    assert (kept.snapshot().nodes["pack"].version, kept.snapshot().nodes["pack"].kept) == ("1.0.0", True)
    assert "kept_at_other_version" in [warning.code for warning in kept.snapshot().warnings]
    assert len(registry.asked) == asked
    updated = rig.install({"urls": ["pack"]}, options={"existing": "update"})
    assert updated.snapshot().nodes["pack"].version == "1.2.0"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".tracking",
        "__init__.py",
        "models",
        "new.py",
        "pyproject.toml",
    ]
    assert (folder / "models" / "mine.bin").read_text() == "mine"
    again = rig.install({"urls": ["pack"]}, options={"existing": "update"})
    assert again.snapshot().nodes["pack"].kept
    back = rig.install(None, rollback_of=updated.task_id)
    assert back.snapshot().state.value == "completed", back.snapshot().error
    assert (folder / "gone.py").read_text() == "1"
    assert (folder / "models" / "mine.bin").read_text() == "mine"
    assert "1.0.0" in (folder / "pyproject.toml").read_text()
    assert not list((rig.custom_nodes / ".disabled").iterdir())
    (folder / "models" / "mine.bin").unlink()
    (folder / "models").rmdir()
    gone = rig.install(None, rollback_of=first.task_id)
    assert gone.snapshot().state.value == "completed", gone.snapshot().error
    assert not folder.exists()


def test_a_lock_brings_the_same_version_again(rig: Rig, registry: RegistryServer) -> None:
    registry.add("pack", "1.0.0", pack_files("pack", "1.0.0"))
    lock = rig.install({"urls": ["pack"]}).snapshot().lock
    assert lock is not None
    registry.add("pack", "2.0.0", pack_files("pack", "2.0.0"))
    rig.install({"urls": ["pack"]}, options={"existing": "update"})
    restored = rig.install({"lock": {"format": 1, "node_packs": lock["node_packs"]}})
    assert restored.snapshot().nodes["pack"].version == "1.0.0"
    assert errors(restored) == {"pack": ""}
    again = restored.snapshot().lock
    assert again is not None
    assert again["node_packs"] == lock["node_packs"]
    assert lock["node_packs"][0]["archive_sha256"]
    registry.nodes["pack"].versions[0].archive = zipped(pack_files("pack", "1.0.0", {"evil.py": "x"}))
    changed = rig.install({"lock": {"format": 1, "node_packs": lock["node_packs"]}}, options={"existing": "reinstall"})
    assert errors(changed) == {"pack": "archive_hash_differs"}
    assert differences(changed) == []
    rig.install({"urls": ["pack"]}, options={"existing": "update"})
    older = rig.install({"lock": {"format": 1, "node_packs": lock["node_packs"]}})
    assert differences(older) == ["pack is 2.0.0, the lock has pack@1.0.0"]
    assert not (rig.custom_nodes / "pack" / "evil.py").exists()


def test_a_clone_or_another_folder_is_never_mixed_with_the_registrys_version(
    rig: Rig, registry: RegistryServer, git_server: GitServer
) -> None:
    """A clone of the pack, under its own name or another one, is kept; a reinstall keeps it aside whole."""
    registry.add("pack", "1.0.0", pack_files("pack", "1.0.0"))
    registry.add("taken", "1.0.0", pack_files("taken", "1.0.0"))
    registry.add("off", "1.0.0", pack_files("off", "1.0.0"))
    project = '[project]\nname = "pack"\nversion = "0.9"\n'
    made = make_pack(git_server, "o", "Pack", files={"pyproject.toml": project})
    rig.install([{"name": "pack", "repo_url": made.url}])
    (rig.custom_nodes / "taken").mkdir()
    (rig.custom_nodes / "taken" / "mine.py").write_text("mine")
    (rig.custom_nodes / ".disabled" / "off@1_0_0").mkdir(parents=True)
    (rig.custom_nodes / ".disabled" / "off@1_0_0" / "__init__.py").write_text("")
    urls = {"urls": ["pack@1.0.0", "taken", "off"]}
    kept = rig.install(urls)
    assert errors(kept) == {"pack": "", "taken": "name_taken", "off": "pack_disabled"}
    assert kept.snapshot().nodes["pack"].commit == made.commit
    assert "kept_at_other_version" in [warning.code for warning in kept.snapshot().warnings]
    updated = rig.install(urls, options={"existing": "update"})
    assert errors(updated)["pack"] == "clone_in_place"
    anew = rig.install({"urls": ["pack@1.0.0"]}, options={"existing": "reinstall"})
    assert errors(anew) == {"pack": ""}
    assert not (rig.custom_nodes / "pack" / ".git").exists()
    assert (rig.custom_nodes / ".disabled" / "pack@replaced" / ".git").is_dir()
    back = rig.install(None, rollback_of=anew.task_id)
    assert back.snapshot().state.value == "completed", back.snapshot().error
    assert git(rig.custom_nodes / "pack", "rev-parse", "HEAD") == made.commit
    assert not (rig.custom_nodes / "pack" / ".tracking").exists()
    assert (rig.custom_nodes / "taken" / "mine.py").read_text() == "mine"


def test_a_plan_brings_nothing_and_tells_the_version(rig: Rig, registry: RegistryServer) -> None:
    registry.add("pack", "1.0.0", pack_files("pack", "1.0.0", {"requirements.txt": "six\n"}))
    run = rig.install({"urls": ["pack"]}, options={"plan_only": True})
    assert run.snapshot().nodes["pack"].version == "1.0.0"
    assert not (rig.custom_nodes / "pack").exists()
