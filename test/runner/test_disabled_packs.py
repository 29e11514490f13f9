"""Packs that a snapshot has disabled: put where ComfyUI-Manager has those, and nothing more is done for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.protocol import counts
from app.protocol.manager_snapshot import write_snapshot
from app.protocol.other_files.read import read_snapshot
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from app.standin.registry_archives import pack_files
from app.standin.registry_server import RegistryServer
from test.runner.rig import Rig, Run, git, names_in

pytestmark = pytest.mark.slow
SCHEMES = ["https", "http"]


@pytest.fixture
def registry(rig: Rig) -> Iterator[RegistryServer]:
    with RegistryServer() as registry:
        rig.environ["NODEFERRY_NODE_REGISTRY"] = registry.url
        yield registry


@pytest.fixture
def off(git_server: GitServer) -> Pack:
    files = {"install.py": "raise SystemExit(1)\n", "requirements.txt": "no-such-package-anywhere==1\n"}
    return make_pack(git_server, "owner", "Off", files=files)


def lock_of(*disabled: Pack, **sections: Any) -> dict[str, Any]:
    found = {pack.url: {"hash": pack.commit, "disabled": True} for pack in disabled}
    return {"lock": read_snapshot({"git_custom_nodes": found, **sections}, SCHEMES)}


def install(rig: Rig, manifest: dict[str, Any], **options: Any) -> Run:
    return rig.install(manifest, options={"verify": False, **options})


def disabled(rig: Rig) -> list[str]:
    folder = rig.custom_nodes / ".disabled"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_snapshot_comes_back_as_it_was(rig: Rig, git_server: GitServer, registry: RegistryServer, off: Pack) -> None:
    """A pack that is loaded in the registry's version, and disabled as a clone, is there in both."""
    on = make_pack(git_server, "owner", "On")
    both = make_pack(git_server, "owner", "both")
    registry.add("both", "1.2.0", pack_files("both", "1.2.0"), repository=both.url)
    snapshot: dict[str, Any] = {
        "comfyui": None,
        "git_custom_nodes": {
            off.url: {"hash": off.commit, "disabled": True},
            both.url: {"hash": both.commit, "disabled": True},
            on.url: {"hash": on.commit, "disabled": False},
        },
        "cnr_custom_nodes": {"both": "1.2.0"},
        "file_custom_nodes": [],
        "pips": {},
    }
    add_commit(git_server, off, {"newer.txt": "newer"})
    run = install(rig, {"lock": read_snapshot(snapshot, SCHEMES)}, exact=True)
    said = run.snapshot()
    assert said.error is None, run.said()
    assert (disabled(rig), names_in(rig.custom_nodes)) == (["Off", "both"], [".disabled", "On", "both"])
    assert git(rig.custom_nodes / ".disabled" / "Off", "rev-parse", "HEAD") == off.commit
    assert {name: run.state(name) for name in said.nodes} == {
        "Off": "skipped put_aside_disabled",
        "both@disabled": "skipped put_aside_disabled",
        "On": "installed",
        "both": "installed",
    }
    assert counts.count(said).in_words() == "2 of 4 ready, 2 skipped"
    assert str(counts.outcome(said)) == "all"
    assert said.warnings == ()
    assert said.lock is not None
    assert write_snapshot(said.lock) | {"comfyui": None, "pips": {}} == snapshot
    again = install(rig, {"lock": dict(said.lock)}, exact=True)
    assert again.snapshot().error is None, again.said()
    assert [node.kept for node in again.snapshot().nodes.values()] == [True] * 4
    assert write_snapshot(again.snapshot().lock or {}) == write_snapshot(said.lock)


def test_a_disabled_pack_of_the_registry_has_managers_name(rig: Rig, registry: RegistryServer) -> None:
    """As ComfyUI Desktop's snapshots have them; a rollback takes it away."""
    registry.add("some-pack", "1.2.0", pack_files("some-pack", "1.2.0"))
    entry = {"id": "some-pack", "type": "cnr", "version": "1.2.0", "enabled": False}
    manifest = {"lock": read_snapshot({"version": 1, "customNodes": [entry]}, SCHEMES)}
    assert manifest["lock"]["node_packs"][0]["folder"] == ".disabled/some-pack@1_2_0"
    planned = install(rig, manifest, plan_only=True)
    assert (planned.state("some-pack"), disabled(rig)) == ("skipped plan_only", [])
    run = install(rig, manifest)
    assert (run.state("some-pack"), disabled(rig)) == ("skipped put_aside_disabled", ["some-pack@1_2_0"])
    lock = run.snapshot().lock
    assert lock is not None
    assert write_snapshot(lock)["cnr_custom_nodes"] == {}, "Manager does not name these either"
    assert read_snapshot(dict(lock), SCHEMES)["node_packs"] == lock["node_packs"]
    assert install(rig, {"lock": dict(lock)}).snapshot().nodes["some-pack"].kept
    back = rig.install(None, rollback_of=run.task_id)
    assert (back.state("some-pack"), disabled(rig)) == ("skipped rolled_back", [])


def test_what_is_there_is_found_and_brought_to_its_commit(rig: Rig, git_server: GitServer, off: Pack) -> None:
    """Under the name that Manager gave it; rolled back to what it was. An enabled copy is left alone, and told."""
    install(rig, lock_of(off))
    (rig.custom_nodes / ".disabled" / "Off").rename(rig.custom_nodes / ".disabled" / "off-id@nightly")
    newer = add_commit(git_server, off, {"newer.txt": "newer"})
    kept = install(rig, lock_of(off))
    assert (kept.state("Off"), kept.snapshot().nodes["Off"].kept) == ("skipped put_aside_disabled", True)
    moved = install(rig, lock_of(newer))
    folder = rig.custom_nodes / ".disabled" / "off-id@nightly"
    assert (disabled(rig), git(folder, "rev-parse", "HEAD")) == (["off-id@nightly"], newer.commit)
    back = rig.install(None, rollback_of=moved.task_id)
    assert back.snapshot().error is None, back.said()
    assert git(folder, "rev-parse", "HEAD") == off.commit
    assert back.state("Off").startswith("skipped")
    folder.rename(rig.custom_nodes / "Off")
    left = install(rig, lock_of(off))
    assert (left.state("Off"), disabled(rig)) == ("skipped pack_enabled", [])
    assert git(rig.custom_nodes / "Off", "rev-parse", "HEAD") == off.commit


def test_a_run_that_is_put_back_takes_it_away_again(rig: Rig, git_server: GitServer, off: Pack) -> None:
    gone = {f"{git_server.url}/owner/gone": {"hash": "0" * 40, "disabled": False}}
    manifest = lock_of(off)
    manifest["lock"]["node_packs"] += read_snapshot({"git_custom_nodes": gone}, SCHEMES)["node_packs"]
    run = install(rig, manifest, on_failure="rollback")
    error = run.snapshot().error
    assert error is not None
    assert (error.code, run.state("Off"), disabled(rig)) == ("rolled_back", "skipped rolled_back", [])
