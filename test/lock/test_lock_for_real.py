"""A lock brings back on another machine what a run left on the first, or says what it could not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from app.standin.git_rules import MISSING
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box
from test.plan.conftest import BoxFactory
from test.runner.rig import Run, git, names_in, node

pytestmark = pytest.mark.registry


def lock_of(run: Run) -> dict[str, Any]:
    lock = run.snapshot().lock
    assert lock is not None, run.said()
    return json.loads(json.dumps(lock))  # type: ignore[no-any-return]


def bring(box: Box, lock: Mapping[str, Any], **options: Any) -> Run:
    run = box.install({"lock": dict(lock)}, options={"verify": False, **options})
    assert box.fingerprint() == box.family, "the torch family was touched"
    return run


def ended_with(run: Run) -> str | None:
    error = run.snapshot().error
    return error.code if error else None


def warned(run: Run) -> list[str]:
    return [warning.code for warning in run.snapshot().warnings]


@pytest.fixture
def made(box: Box) -> tuple[dict[str, Any], Run]:
    """Two packs on the first machine; since then the world has gone on: newer commits, newer packages."""
    box.index.wheel("tool", "1.0")
    box.index.wheel("dep", "1.0")
    one = make_pack(box.git, "owner", "one", requirements="tool>=1\ndep\n")
    two = make_pack(box.git, "owner", "two")
    run = box.run_of(node(one), node(two))
    lock = lock_of(run)
    add_commit(box.git, one, {"new.txt": "new"})
    box.index.wheel("tool", "2.0")
    return lock, run


def test_a_run_tells_what_it_leaves(box: Box, made: tuple[dict[str, Any], Run]) -> None:
    """Packs, packages, Python, torch and the machine."""
    lock, run = made
    assert [(pack["name"], pack["commit"]) for pack in lock["node_packs"]] == [
        (name, run.snapshot().nodes[name].commit) for name in ("one", "two")
    ]
    assert (lock["packages"]["tool"], lock["packages"]["dep"]) == ("1.0", "1.0")
    assert lock["torch"]["version"] == "2.9.1+cu128"
    assert lock["interpreter"].startswith(str(box.ui_home))
    assert lock["python"].count(".") == 2
    assert lock["machine"] and lock["system"]


def test_the_same_again_elsewhere(box_factory: BoxFactory, made: tuple[dict[str, Any], Run]) -> None:
    """The commits and versions of then, not those of now; also where other ones are there already."""
    lock, _ = made
    other = box_factory()
    other.have("tool==2.0")
    newer = {"name": "one", "repo_url": lock["node_packs"][0]["repo_url"]}
    other.run_of(newer)
    assert git(other.custom_nodes / "one", "rev-parse", "HEAD") != lock["node_packs"][0]["commit"]
    run = bring(other, lock, exact=True)
    assert ended_with(run) is None, run.said()
    assert {name: git(other.custom_nodes / name, "rev-parse", "HEAD") for name in ("one", "two")} == {
        pack["name"]: pack["commit"] for pack in lock["node_packs"]
    }
    assert {name: other.freeze()[name] for name in ("tool", "dep")} == {"tool": "1.0", "dep": "1.0"}
    assert warned(run) == []
    assert lock_of(run)["packages"] == lock["packages"]


def test_what_cannot_be_had_is_told_and_the_rest_is_installed(
    box_factory: BoxFactory, made: tuple[dict[str, Any], Run]
) -> None:
    """A version that is gone, another torch, something without a repository: a warning each."""
    lock, _ = made
    lock["packages"]["gone"] = "9.9"
    lock["torch"] = {"version": "2.7.0+cu118", "cuda": "11.8"}
    lock["left_out"] = [{"name": "a-registry-pack", "version": "1.0", "reason": "no repository"}]
    other = box_factory()
    run = bring(other, lock)
    assert ended_with(run) is None
    assert {run.state("one"), run.state("two")} == {"installed"}
    assert other.freeze()["tool"] == "1.0"
    assert warned(run) == ["lock_mismatch"] * 3 + ["lock_package_unavailable", "lock_not_exact"]


def test_a_lock_breaks_neither_comfyui_nor_a_library(box_factory: BoxFactory, made: tuple[dict[str, Any], Run]) -> None:
    """A version that this ComfyUI does not take, and a second variant of OpenCV, stay out and are told."""
    lock, _ = made
    other = box_factory()
    for name in ("opencv-python", "opencv-python-headless"):
        other.index.wheel(name, "4.0")
    other.have("tool==2.0", "opencv-python-headless==4.0")
    (other.ui_home / "requirements.txt").write_text("tool>=2\n")
    lock["packages"]["opencv-python"] = "4.0"
    lock["node_packs"] = lock["node_packs"][1:]
    run = bring(other, lock)
    assert other.freeze()["tool"] == "2.0"
    assert "opencv-python" not in other.freeze()
    assert other.freeze()["dep"] == "1.0"
    messages = [warning.message for warning in run.snapshot().warnings]
    assert "opencv-python is not installed, since opencv-python-headless is." in messages
    assert "tool stays: this ComfyUI wants tool>=2, the lock has 1.0." in messages
    assert ended_with(bring(other, lock, exact=True)) == "lock_mismatch"


def test_exact_is_refused_before_anything_changes(box_factory: BoxFactory, made: tuple[dict[str, Any], Run]) -> None:
    """A package that cannot be had; what else is refused is in test_exact."""
    lock, _ = made
    other = box_factory()
    before = other.freeze()
    run = bring(other, {**lock, "packages": {"tool": "1.0", "gone": "9.9"}}, exact=True)
    assert (ended_with(run), str(run.snapshot().state)) == ("lock_unavailable", "failed")
    assert (names_in(other.custom_nodes), other.freeze()) == ([], before)


def test_exact_puts_everything_back_when_a_pack_cannot_be_had(
    box_factory: BoxFactory, made: tuple[dict[str, Any], Run]
) -> None:
    """What was new goes, what was there returns to where it was; no pack is called installed."""
    lock, _ = made
    other = box_factory()
    other.run_of({"name": "one", "repo_url": lock["node_packs"][0]["repo_url"]})
    there, before = git(other.custom_nodes / "one", "rev-parse", "HEAD"), other.freeze()
    third = make_pack(other.git, "owner", "third")
    gone = {"name": "third", "repo_url": third.url, "folder": "third", "commit": third.commit}
    other.git.set_rule(third.repo, MISSING)
    run = bring(other, {**lock, "node_packs": [*lock["node_packs"], gone]}, exact=True)
    assert (ended_with(run), str(run.snapshot().state)) == ("lock_not_exact", "failed")
    assert names_in(other.custom_nodes) == ["one"]
    assert git(other.custom_nodes / "one", "rev-parse", "HEAD") == there
    assert git(other.custom_nodes / "one", "symbolic-ref", "--short", "HEAD") == "main"
    assert other.freeze() == before
    assert {str(entry.state) for entry in run.snapshot().nodes.values()} == {"failed"}
