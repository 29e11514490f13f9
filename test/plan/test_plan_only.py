"""A plan that is not carried out: everything is told, nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.protocol.counts import outcome
from app.protocol.states import Outcome, TaskState
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box, plan_of, states
from test.runner.rig import names_in, node

pytestmark = pytest.mark.registry


def tree(folder: Path) -> list[tuple[str, int]]:
    """Every file below, with the time of its last change; what git and Python write when they only look aside."""
    found = []
    for where, _, names in os.walk(folder):
        if "__pycache__" not in where and "/.git/" not in f"{where}/":
            found += [(os.path.join(where, name), os.stat(os.path.join(where, name)).st_mtime_ns) for name in names]
    return sorted(found)


def test_it_works(box: Box) -> None:
    """Old and new versions, stages, who wants it, and who would fail."""
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.index.wheel("added", "1.0")
    box.have("changed==1.0")
    pack = make_pack(box.git, "owner", "old", requirements="changed\n")
    box.run_of(node(pack))
    add_commit(box.git, pack, {"requirements.txt": "changed>=2\n"})
    before = tree(box.ui_home)
    packs = [node(pack), box.pack("new", "added"), box.pack("bare")]
    run = box.run_of(*packs, options={"existing": "update", "plan_only": True})
    assert tree(box.ui_home) == before, run.said()
    assert names_in(box.custom_nodes) == ["old"]
    assert states(run) == dict.fromkeys(("old", "new", "bare"), "skipped plan_only")
    assert (run.snapshot().state, outcome(run.snapshot())) == (TaskState.COMPLETED, Outcome.ALL)
    assert [(c["package"], c["old"], c["new"], c["lane"], c["wanted_by"]) for c in plan_of(run)] == [
        ("added", None, "1.0", "agrees", ["new"]),
        ("changed", "1.0", "2.0", "wants_change", ["old"]),
    ]
    run = box.run_of(box.pack("bad", "not-to-be-had"), box.pack("good", "added"), options={"plan_only": True})
    assert states(run) == {"bad": "failed requirement_not_found", "good": "skipped plan_only"}
    assert tree(box.ui_home) == before
