"""A run is undone exactly: what is installed and every commit are what they were before it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from app.protocol.counts import outcome
from app.protocol.events import ScriptChanged
from app.protocol.states import Outcome, TaskState
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box, plan_of, states
from test.runner.rig import Run, git, names_in, node
from test.support.waiting import wait_until

pytestmark = pytest.mark.registry


def commits(box: Box) -> dict[str, str]:
    """Of every pack that is there."""
    folders = [folder for folder in box.custom_nodes.iterdir() if (folder / ".git").exists()]
    return {folder.name: git(folder, "rev-parse", "HEAD") + git(folder, "status", "-sb") for folder in folders}


def roll_back(box: Box, run: Run) -> Run:
    return box.install([], rollback_of=run.task_id, options={"verify": False})


@pytest.fixture
def updated(box: Box) -> dict[str, Any]:
    """A pack that is there, of which there is a newer commit by now; packages 1.0 of two."""
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.index.wheel("added", "1.0")
    box.have("changed==1.0")
    pack = make_pack(box.git, "owner", "old", requirements="changed\n")
    box.run_of(node(pack))
    add_commit(box.git, pack, {"requirements.txt": "changed>=2\nadded\n"})
    return node(pack)


def test_it_works(box: Box, updated: dict[str, Any]) -> None:
    """Packages that were added go, changed ones come back, a new pack goes, an updated one gets its commit back."""
    before = box.freeze(), commits(box)
    run = box.run_of(updated, box.pack("new", "added"), options={"existing": "update"})
    assert set(states(run).values()) == {"installed"}, run.said()
    assert box.freeze()["changed"] == "2.0"
    assert (box.freeze(), commits(box)) != before
    restored = roll_back(box, run)
    assert (box.freeze(), commits(box)) == before, restored.said()
    assert box.fingerprint() == box.family
    assert states(restored) == {"old": "installed", "new": "skipped rolled_back"}
    assert restored.snapshot().state is TaskState.COMPLETED
    assert outcome(restored.snapshot()) is Outcome.ALL
    planned = {(change["package"], change["old"], change["new"]) for change in plan_of(restored)}
    assert planned == {("changed", "2.0", "1.0"), ("added", "1.0", None)}
    again = roll_back(box, run)
    assert (box.freeze(), commits(box)) == before, again.said()


def test_what_was_changed_after_the_run_is_not_touched(box: Box, updated: dict[str, Any]) -> None:
    """Work of a user's in a pack stays, and is told; so does a package that the run did not bring."""
    run = box.run_of(updated, box.pack("new", "added"), options={"existing": "update"})
    (box.custom_nodes / "new" / "notes.txt").write_text("mine")
    box.index.wheel("users", "1.0")
    box.have("users")
    restored = roll_back(box, run)
    assert (box.custom_nodes / "new" / "notes.txt").read_text() == "mine"
    assert states(restored) == {"old": "installed", "new": "failed local_changes"}
    assert restored.snapshot().state is TaskState.FAILED
    assert "users" in box.freeze() and "added" not in box.freeze()


@pytest.mark.parametrize("end", ["cancelled", "killed"])
def test_a_half_applied_run_is_undone(box: Box, updated: dict[str, Any], end: str) -> None:
    """Cancelled or killed between the packages and the end of a script: everything is as before."""
    before = box.freeze(), commits(box)
    slow = box.pack("slow", "added", install_py="open('/dev/null').read()\nimport time\ntime.sleep(600)\n")
    run = box.start([updated, slow], options={"existing": "update", "verify": False})
    wait_until(lambda: bool(run.told(ScriptChanged, status="running")), 60, "the script runs")
    assert box.freeze()["changed"] == "2.0"
    if end == "killed":
        run.kill_runner()
        run.sweep()
    else:
        run.cancel()
    restored = roll_back(box, run)
    assert (box.freeze(), commits(box)) == before, restored.said()


def test_an_index_that_has_died_meanwhile_costs_no_package(box: Box) -> None:
    """The same version from elsewhere has to be removed first; what is to come instead cannot be had any more."""
    address = box.index.wheel("thing", "1.0")
    box.have("thing==1.0")
    run = box.run_of(box.pack("from-address", f"thing @ {address}"))
    assert box.freeze()["thing"] == "1.0"
    shutil.rmtree(box.index.folder / "simple" / "thing")
    shutil.rmtree(box.environ["UV_CACHE_DIR"])
    error = roll_back(box, run).snapshot().error
    assert error is not None and error.code == "rollback_incomplete" and "thing 1.0" in error.message
    assert box.freeze()["thing"] == "1.0"
    assert box.environment is not None
    assert (box.environment.packages / "thing" / "__init__.py").exists()


def test_on_failure_rollback_leaves_nothing_behind(box: Box, updated: dict[str, Any]) -> None:
    """One pack that is not good, and the run undoes itself; no pack is told as installed that is not there."""
    before = box.freeze(), commits(box)
    options = {"existing": "update", "on_failure": "rollback"}
    bad, new = box.pack("bad", "no-such-thing-at-all"), box.pack("new", "added")
    run = box.run_of(updated, bad, new, options=options)
    assert (box.freeze(), commits(box)) == before, run.said()
    assert names_in(box.custom_nodes) == ["old"]
    assert run.snapshot().state is TaskState.FAILED
    error = run.snapshot().error
    assert error is not None and error.code == "rolled_back" and "bad" in error.message
    assert states(run) == {
        "old": "failed rolled_back",
        "bad": "failed requirement_not_found",
        "new": "failed rolled_back",
    }
    fine = box.run_of(box.pack("fine", "added"), options=options)
    assert states(fine) == {"fine": "installed"}


def test_there_has_to_be_something_to_undo(box: Box, tmp_path: Path) -> None:
    """A run of which nothing is known here is told so."""
    run = roll_back(box, Run(box, "00000000-0000-4000-8000-000000000000"))
    error = run.snapshot().error
    assert error is not None and error.code == "nothing_to_roll_back"
