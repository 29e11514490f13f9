"""Everything as in the lock, or nothing changed: refused first, or put back, however the run ends."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.protocol.counts import outcome
from app.protocol.events import NodeChanged
from app.protocol.states import Outcome
from app.standin.packs import add_commit, make_pack
from test.lock.test_lock_for_real import bring, ended_with, lock_of, made, warned
from test.plan.box import Box, plan_of, states
from test.plan.conftest import BoxFactory
from test.plan.test_plan_only import tree
from test.plan.test_rollback import commits, roll_back
from test.runner.rig import Run, git, names_in, node
from test.support.waiting import wait_until

__all__ = ["made"]
pytestmark = pytest.mark.registry
Made = tuple[dict[str, Any], Run]
WAITS = "import os\nos.mkfifo('wait')\nopen('wait').read()\n"


def messages(run: Run) -> str:
    return "\n".join(f"{warning.code}: {warning.message} {warning.hint}" for warning in run.snapshot().warnings)


def gpu(box: Box, name: str) -> None:
    """A machine with this GPU."""
    program = box.home / ".local" / "gpu" / "nvidia-smi"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{name}, 24564, 570.86.15'\n")
    program.chmod(0o755)
    box.environ["PATH"] = f"{program.parent}:{box.environ['PATH']}"


OTHER_MACHINES: dict[str, dict[str, Any]] = {
    "Python is": {"python": "3.7.1"},
    "torch is": {"torch": {"version": "2.7.0+cu118", "cuda": "12.8"}},
    "CUDA is": {"torch": {"version": "2.9.1+cu128", "cuda": "11.8"}},
    "The instance has no GPU": {"gpu": [{"name": "NVIDIA GeForce RTX 4090", "memory_mib": "24564"}]},
    "The processor is": {"machine": "sparc64"},
    "torchvision is never replaced": {"packages": {"tool": "1.0", "torchvision": "0.1"}},
    "x was left out": {"left_out": [{"name": "x", "version": "1", "reason": "no repository"}]},
}


def test_another_machine_is_refused_before_anything_changes(box: Box, made: Made) -> None:
    """Nothing is cloned, nothing is installed, nothing is to be undone."""
    lock, run = made
    roll_back(box, run)
    before, refusals = box.freeze(), []
    for said, change in OTHER_MACHINES.items():
        refused = bring(box, {**lock, "machine": os.uname().machine, **change}, exact=True)
        error = refused.snapshot().error
        assert error is not None and (error.code, said in error.message) == ("lock_mismatch", True), (said, error)
        assert (names_in(box.custom_nodes), box.freeze()) == ([], before), said
        assert not refused.told(NodeChanged), said
        refusals.append(refused)
    assert ended_with(roll_back(box, refusals[-1])) == "nothing_to_roll_back"


def test_another_gpu_is_told_and_no_reason_to_refuse(box: Box, made: Made) -> None:
    lock, _ = made
    gpu(box, "NVIDIA A100")
    run = bring(box, {**lock, "gpu": [{"name": "NVIDIA GeForce RTX 4090"}]}, exact=True)
    assert ended_with(run) is None, run.said()
    assert "The GPU is NVIDIA A100; the lock was made with NVIDIA GeForce RTX 4090." in messages(run)
    assert lock_of(run)["gpu"][0]["name"] == "NVIDIA A100"


@pytest.mark.parametrize("missing", ["uv", "python"])
def test_without_uv_or_python_versions_are_refused_first(box_factory: BoxFactory, made: Made, missing: str) -> None:
    """Not cloned first and told later."""
    lock, _ = made
    other = box_factory()
    venv: dict[str, Any] = {}
    if missing == "uv":
        other.environ["PATH"] = "/usr/bin:/bin"
        tools = other.state / "tools" / "uv"
        tools.parent.mkdir(parents=True)
        tools.write_text("in the way of one that could be fetched")
        other.environ |= {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0", "PIP_NO_INDEX": "1"}
    else:
        venv = {"venv_path": str(other.home / "no-such-venv")}
    run = other.install({"lock": lock}, options={"exact": True}, **venv)
    assert ended_with(run) == ("lock_unavailable" if missing == "uv" else "lock_mismatch"), run.said()
    assert names_in(other.custom_nodes) == []
    run = other.install({"lock": lock}, **venv)
    assert set(states(run).values()) == {"installed", "failed interpreter_not_found"} or missing == "uv"
    assert "not installed" in messages(run) or "cannot be installed" in messages(run)


def test_what_the_lock_does_not_name_is_left_alone_and_told(box_factory: BoxFactory, made: Made) -> None:
    """Packs, packages, and ComfyUI's own commit: in the warnings, and in the run's own lock."""
    lock, _ = made
    other = box_factory()
    other.index.wheel("users", "1.0")
    other.have("users")
    (other.custom_nodes / "own").mkdir()
    (other.custom_nodes / "own" / "__init__.py").touch()
    git(other.ui_home, "init", "-q", "-b", "main")
    git(other.ui_home, "commit", "-q", "--allow-empty", "-m", "ComfyUI")
    here, wanted = git(other.ui_home, "rev-parse", "HEAD"), "a" * 40
    run = bring(other, {**lock, "comfyui_commit": wanted}, exact=True)
    assert ended_with(run) is None, run.said()
    assert sorted(warned(run)) == ["comfyui_differs", "not_in_lock", "not_in_lock"]
    assert f"git -C {other.ui_home} checkout {wanted}" in messages(run)
    assert git(other.ui_home, "rev-parse", "HEAD") == here
    compared = lock_of(run)["compared"]
    assert compared["not_in_lock"] == {"node_packs": ["own"], "packages": ["users"]}
    assert len(compared["differences"]) == 1 and wanted in compared["differences"][0]
    assert other.freeze()["users"] == "1.0"
    assert lock["compared"] is None


def test_a_plan_shows_the_locks_versions_and_changes_nothing(box_factory: BoxFactory, made: Made) -> None:
    """Old and new, also for a pack that is there at another commit; what cannot be had is told."""
    lock, _ = made
    other = box_factory()
    other.have("tool==2.0")
    other.run_of({"name": "one", "repo_url": lock["node_packs"][0]["repo_url"]})
    other.have("dep==1.0")
    before = tree(other.ui_home), commits(other)
    lock["packages"] |= {"gone": "9.9", "dep": "1.0"}
    other.index.wheel("fresh", "1.0")
    lock["packages"]["fresh"] = "1.0"
    run = bring(other, lock, plan_only=True)
    assert (tree(other.ui_home), commits(other)) == before, run.said()
    assert {(change["package"], change["old"], change["new"], change["change"]) for change in plan_of(run)} == {
        ("tool", "2.0", "1.0", "change"),
        ("fresh", None, "1.0", "add"),
    }
    assert states(run) == dict.fromkeys(("one", "two"), "skipped plan_only")
    assert outcome(run.snapshot()) is Outcome.ALL
    assert "gone==9.9 could not be installed" in messages(run)


@pytest.fixture
def half(box_factory: BoxFactory, made: Made) -> tuple[Box, Run, Any]:
    """An exact lock of which packages and packs are there already, and a script that does not end; and how it was."""
    lock, _ = made
    box = box_factory()
    box.have("tool==2.0")
    box.run_of({"name": "one", "repo_url": lock["node_packs"][0]["repo_url"]})
    (box.custom_nodes / "one" / "own.txt").write_text("mine")
    before = box.freeze(), commits(box)
    slow = make_pack(box.git, "owner", "slow", install_py=WAITS)
    pack = {"name": "slow", "repo_url": slow.url, "folder": "slow", "commit": slow.commit}
    lock = {**lock, "node_packs": [*lock["node_packs"], pack]}
    started = box.start({"lock": lock}, options={"exact": True})
    wait_until((box.custom_nodes / "slow" / "wait").exists, 60, "the script runs")
    assert box.freeze()["tool"] == "1.0"
    assert (box.freeze(), commits(box)) != before
    return box, started, before


def test_a_cancel_in_the_middle_puts_everything_back(half: tuple[Box, Run, Any]) -> None:
    """Before the run ends; no pack is told as installed."""
    box, run, before = half
    run.cancel()
    run.wait()
    assert str(run.snapshot().state) == "cancelled"
    assert (box.freeze(), commits(box)) == before, run.said()
    assert (box.custom_nodes / "one" / "own.txt").read_text() == "mine"
    assert states(run) == {
        "one": "failed lock_not_exact",
        "two": "failed lock_not_exact",
        "slow": "cancelled cancelled",
    }
    assert "put_back: Everything was put back." in messages(run)


def test_a_cancel_that_cannot_put_all_back_says_what(half: tuple[Box, Run, Any]) -> None:
    """The version of before is not to be had any more."""
    box, run, before = half
    shutil.rmtree(box.index.folder / "simple" / "tool")
    shutil.rmtree(box.home / "uv-cache")
    run.cancel()
    run.wait()
    assert str(run.snapshot().state) == "cancelled"
    assert commits(box) == before[1]
    assert "put_back_incomplete" in messages(run) and "tool 2.0 could not be restored" in messages(run)


def test_a_killed_one_is_put_back_by_a_rollback(half: tuple[Box, Run, Any]) -> None:
    """Nobody is left to do it before."""
    box, run, before = half
    run.kill_runner()
    run.sweep()
    back = roll_back(box, run)
    assert (box.freeze(), commits(box)) == before, back.said()
    assert back.snapshot().error is None


def test_what_only_failed_at_the_end_is_put_back_with_submodules(box_factory: BoxFactory, made: Made) -> None:
    """A pack with a submodule that moved on; a script of another pack then takes a version away for good."""
    lock, _ = made
    other = box_factory()
    inner = make_pack(other.git, "owner", "inner", history=2)
    old = make_pack(other.git, "owner", "outer", submodules={"sub": inner})
    other.run_of(node(old))
    before = other.freeze(), commits(other), git(other.custom_nodes / "outer" / "sub", "rev-parse", "HEAD")
    new = add_commit(other.git, old, {"new.txt": "new"})
    script = "import shutil, subprocess, sys\n"
    script += "subprocess.run(['uv', 'pip', 'uninstall', '--python', sys.executable, 'tool'])\n"
    for folder in (other.index.folder / "simple" / "tool", other.home / "uv-cache"):
        script += f"shutil.rmtree({str(folder)!r})\n"
    bad = make_pack(other.git, "owner", "bad", requirements="tool\n", install_py=script)
    packs = [
        {"name": pack.name, "repo_url": pack.url, "folder": pack.name, "commit": pack.commit} for pack in (new, bad)
    ]
    run = bring(other, {**lock, "node_packs": packs}, exact=True)
    error = run.snapshot().error
    assert error is not None and error.code == "lock_not_exact", run.said()
    assert "tool is not installed, the lock has 1.0. Everything was put back." in error.message
    after = other.freeze(), commits(other), git(other.custom_nodes / "outer" / "sub", "rev-parse", "HEAD")
    assert after == before
    assert names_in(other.custom_nodes) == ["outer"]


SNAPSHOT = """\
custom_nodes:
  comfyui: {comfyui}
  cnr_custom_nodes:
    from-the-registry: nightly
  git_custom_nodes:
    {one}:
      disabled: false
      hash: {commit}
    {two}:
      disabled: true
      hash: {other}
  pips:
    tool==1.0: ''
    somewhere @ file:///else: ''
"""


def test_a_managers_snapshot_is_truly_checked_out(box_factory: BoxFactory, made: Made, tmp_path: Path) -> None:
    """The hash, not the branch's newest; the versions; and what it holds besides is told by name."""
    from app.protocol.manager_snapshot import write_snapshot
    from app.protocol.other_files.read import read_snapshot

    lock, _ = made
    one, two = (pack["repo_url"] for pack in lock["node_packs"])
    commits = [pack["commit"] for pack in lock["node_packs"]]
    text = SNAPSHOT.format(comfyui="b" * 40, one=one, two=two, commit=commits[0], other=commits[1])
    other = box_factory()
    run = bring(other, read_snapshot(text, ["http"]))
    assert states(run) == {"one": "installed", "two": "skipped put_aside_disabled"}, run.said()
    for folder, commit in (("one", commits[0]), (".disabled/two", commits[1])):
        assert git(other.custom_nodes / folder, "rev-parse", "HEAD") == commit
    assert other.freeze()["tool"] == "1.0"
    said = messages(run)
    assert all(name in said for name in ("from-the-registry", "somewhere @ file:///else", "ComfyUI itself"))
    again = read_snapshot(write_snapshot(lock_of(run)), ["http"])
    known = {pack["repo_url"]: pack["commit"] for pack in again["node_packs"]}
    assert known == {one: commits[0], two: commits[1]}
    assert ended_with(bring(other, again)) is None
