"""The second round: packs that fail by a version get versions with which they load, and nobody is lost."""

from __future__ import annotations

import pytest

from app.protocol.counts import count, outcome
from app.protocol.repairs import PackageMove, PackMove, RepairState, lock_of
from app.protocol.states import Outcome
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box, states
from test.repair.conftest import code, content, install, needs, repair_of
from test.runner.rig import git, node

pytestmark = [pytest.mark.slow, pytest.mark.registry]


def test_a_downgrade_that_only_an_upper_bound_asks_for_is_first_tried_without(box: Box) -> None:
    """Two bounds are stale: their packs load with what is installed, and so does the one that needs it."""
    for version in ("1.0", "2.0"):
        box.index.wheel("lib", version)
    box.have("lib==2.0")
    run = install(
        box,
        box.pack("stale", "lib<=1.9", **code("stale", "import lib")),
        box.pack("compatible", "lib~=1.0", **code("compatible", "import lib")),
        box.pack("new", "lib>=1", **code("new", needs("lib", "2.0"))),
        options={"on_failure": "rollback"},
    )
    assert states(run) == {
        "stale": "verified older_version_wanted",
        "compatible": "verified older_version_wanted",
        "new": "verified",
    }, run.said()
    assert box.freeze()["lib"] == "2.0"
    assert run.snapshot().repair is None
    assert (outcome(run.snapshot()), count(run.snapshot()).ready) == (Outcome.ALL, 3)
    error = run.snapshot().nodes["stale"].error
    assert error is not None
    assert "wants an older version than the installed one (lib<=1.9); lib 2.0 was not replaced" in error.message


def test_a_bound_that_is_meant_is_suggested_and_brought_by_its_lock(box: Box) -> None:
    """The real environment is byte for byte what it was; the suggestion brings just that."""
    for version in ("1.0", "2.0"):
        box.index.wheel("lib", version)
    box.have("lib==2.0")
    folder = box.ui_home / "venv"
    packs = [
        box.pack("meant", "lib<2", **code("meant", needs("lib", "1.0"))),
        box.pack("any", "lib", **code("any", "import lib")),
    ]
    before = content(folder)
    run = install(box, *packs)
    found = repair_of(run)
    assert (found.state, found.packages, found.loads) == (
        RepairState.FOUND,
        (PackageMove("lib", "2.0", "1.0"),),
        ("meant",),
    )
    assert states(run)["meant"] == "failed older_version_wanted"
    after = content(folder)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {
        name for name in after if "__pycache__" in name
    }
    assert not run.staging.exists()
    lock = lock_of(found, run.snapshot().nodes)
    applied = box.install({"lock": lock}, options={"verify": True})
    assert states(applied) == {"meant": "verified"}, applied.said()
    assert box.freeze()["lib"] == "1.0"


def test_what_the_run_itself_brought_down_is_brought_back(box: Box) -> None:
    """An exact pin is obeyed at first. It was stale, and cost another pack: the second round takes it back, at once
    where the failure names the package."""
    for name in ("another", "lib"):
        box.index.wheel(name, "1.0"), box.index.wheel(name, "2.0")
    box.have("lib==2.0", "another==2.0")
    too_old = (
        "from importlib.metadata import version\n"
        "if version('lib') < '2':\n    raise ImportError('this requires Lib 2.0 or newer, found ' + version('lib'))"
    )
    run = install(
        box,
        box.pack("pinned", "lib==1.0", "another==1.0", **code("pinned", "import lib")),
        box.pack("new", **code("new", too_old)),
    )
    found = repair_of(run)
    assert (found.packages, found.loads) == ((PackageMove("lib", "1.0", "2.0"),), ("new",)), found
    assert found.starts == 2, "with the pack alone, and with all"
    assert box.freeze()["lib"] == "1.0"


def test_nothing_is_suggested_that_would_cost_another_pack(box: Box) -> None:
    """What was tried is told in words."""
    for version in ("1.0", "2.0"):
        box.index.wheel("lib", version)
    box.have("lib==2.0")
    run = install(
        box,
        box.pack("pinned", "lib==1.0", **code("pinned", needs("lib", "1.0"))),
        box.pack("new", **code("new", needs("lib", "2.0"))),
    )
    found = repair_of(run)
    assert (found.state, found.packages, found.loads) == (RepairState.NOTHING, (), ())
    assert [row.name for row in found.not_helped] == ["new"]
    assert any("then pinned would not load any more" in text for text in found.not_helped[0].tried), found


def test_an_older_library_comes_with_its_companions_inside_of_comfyuis_own_bounds(box: Box) -> None:
    """The newest series fails, the one before goes, and takes what requires the newer companion down with it; what is
    older than ComfyUI takes is not tried."""
    for version, companion in (("5.1", ">=2"), ("5.0", ">=2"), ("4.9", "<2"), ("3.0", "<1")):
        box.index.wheel("trans", version, [f"tok{companion}"])
    for version in ("0.5", "1.5", "2.5"):
        box.index.wheel("tok", version)
    for version, companion, wanted in (("2.0", ">=2", "2.5"), ("1.0", "<2", "1.5")):
        body = f"{needs('tok', wanted)}\n"
        box.index.wheel("diff", version, [f"tok{companion}"], modules={"diff/__init__.py": body})
    box.have("trans==5.1", "tok==2.5", "diff==2.0")
    with (box.ui_home / "requirements.txt").open("a") as own:
        own.write("trans>=4\n")
    run = install(
        box,
        box.pack("skewed", "trans", **code("skewed", needs("trans", "4.9"))),
        box.pack("ancient", "trans", **code("ancient", needs("trans", "3.0"))),
        box.pack("any", "tok", **code("any", "import tok, diff")),
    )
    found = repair_of(run)
    assert found.packages == (
        PackageMove("diff", "2.0", "1.0"),
        PackageMove("tok", "2.5", "1.5"),
        PackageMove("trans", "5.1", "4.9"),
    ), found
    assert found.loads == ("skewed",)
    assert [row.name for row in found.not_helped] == ["ancient"]
    assert box.freeze()["trans"] == "5.1"


def test_bounds_of_a_pack_that_fits_nothing_are_relaxed(box: Box) -> None:
    """Its pin contradicts others and was left out; a newer version goes with them, and the pack loads with it."""
    for version in ("1.0", "2.0"):
        box.index.wheel("lib", version)
        box.index.wheel("tool", version, ["lib<2"] if version == "1.0" else ["lib"])
    run = install(
        box,
        box.pack("one", "lib>=2", **code("one", needs("lib", "2.0"))),
        box.pack("other", "lib>=2", **code("other", "import lib")),
        box.pack("strict", "tool==1.0", **code("strict", "import tool")),
    )
    assert states(run)["strict"] == "failed requirement_conflict"
    found = repair_of(run)
    assert (found.packages, found.loads) == ((PackageMove("tool", None, "2.0"),), ("strict",)), found


def test_an_earlier_commit_is_found_by_bisection(box: Box) -> None:
    """The tip does not fit this ComfyUI. The newest commit that does is suggested, and the pack's folder stays. What is
    tried after it is tried beside that commit."""
    box.index.wheel("lib", "1.0"), box.index.wheel("lib", "2.0")
    box.have("lib==2.0")
    good, bad = "import json", "from comfy import not_in_this_version"
    pack = make_pack(box.git, "owner", "moving", **code("moving", good))
    for number in range(9):
        files = code("moving", good if number < 5 else bad)["files"]
        pack = add_commit(box.git, pack, {**files, "NUMBER": str(number)})
    older = box.pack("older", **code("older", needs("lib", "1.0")))
    run = install(box, node(pack), older, box.pack("any", **code("any", "")))
    found = repair_of(run)
    assert found.loads == ("moving", "older"), found
    assert found.packages == (PackageMove("lib", "2.0", "1.0"),)
    assert found.packs == (PackMove("moving", pack.commit, pack.commits[5]),)
    assert git(box.custom_nodes / "moving", "rev-parse", "HEAD") == pack.commit
    applied = box.install({"lock": lock_of(found, run.snapshot().nodes)}, options={"verify": True})
    assert states(applied) == {"moving": "verified", "older": "verified"}, applied.said()
    assert git(box.custom_nodes / "moving", "rev-parse", "HEAD") == pack.commits[5]
