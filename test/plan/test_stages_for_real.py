"""Stages with real uv: what agrees goes first, what conflicts costs only its own pack."""

from __future__ import annotations

import pytest

from app.protocol.events import PackagesPlanned, PackagesProgress
from test.plan.box import Box, lane_of, plan_of, states

pytestmark = pytest.mark.registry  # uv itself comes from there; the packages do not


def test_it_works(box: Box) -> None:
    """What agrees with the environment is planned and installed at once, and the plan is told before."""
    box.index.wheel("alpha", "1.0", ["beta>=1"])
    box.index.wheel("beta", "1.5")
    run = box.run_of(box.pack("one", "alpha"), box.pack("two", "beta", "torch>=2"))
    assert states(run) == {"one": "installed", "two": "installed"}, run.said()
    assert {"alpha", "beta"} <= box.freeze().keys()
    assert [change["lane"] for change in plan_of(run)] == ["agrees", "agrees"]
    by_name = {change["package"]: change for change in plan_of(run)}
    assert by_name["beta"]["wanted_by"] == ["one", "two"]
    assert by_name["alpha"]["change"] == "add"
    kinds = [type(event.body) for event in run.events()]
    assert kinds.index(PackagesPlanned) < kinds.index(PackagesProgress)


def test_one_bad_pack_costs_only_itself(box: Box) -> None:
    """Conflicts, what is missing, does not build or is no requirement: each is told of its pack, the rest is there."""
    index = box.index
    for version in ("1.26.0", "2.1.0"):
        index.wheel("numpee", version)
    index.wheel("old-one", "1.0", ["numpee<2"])
    index.wheel("new-one", "1.0", ["numpee>=2"])
    index.wheel("plain", "1.0")
    index.sdist("made", "1.0")
    index.sdist("unmakeable", "1.0", broken="error: command 'gcc' failed: No such file or directory")
    index.wheel("over-it", "1.0", ["unmakeable"])
    index.spoiled("spoiled", "1.0")
    box.have("numpee==2.1.0")
    packs = [
        box.pack("agrees", "plain"),
        box.pack("numpee-new", "numpee>=2"),
        box.pack("numpee-old", "numpee<2"),
        box.pack("numpee-old-deep", "old-one"),
        box.pack("numpee-new-deep", "new-one"),
        box.pack("builds", "made"),
        box.pack("does-not-build", "plain", "over-it"),
        box.pack("missing", "plain", "no-such-package-anywhere"),
        box.pack("no-such-version", "plain>=9"),
        box.pack("spoiled", "spoiled"),
        box.pack("other-torch", "torch>=99", "plain"),
        box.pack("outside", "-r ../../../../etc/passwd"),
        box.pack("utf16", files={"requirements.txt": "plain\n".encode("utf-16")}),
    ]
    run = box.run_of(*packs)
    good = {"agrees", "numpee-new", "numpee-new-deep", "builds", "utf16"}
    found = states(run)
    assert {name for name, state in found.items() if state == "installed"} == good, run.said()
    assert {name: state for name, state in found.items() if name not in good} == {
        "numpee-old": "failed requirement_conflict",
        "numpee-old-deep": "failed requirement_conflict",
        "does-not-build": "failed compiler_missing",
        "missing": "failed requirement_not_found",
        "no-such-version": "failed requirement_not_found",
        "spoiled": "failed package_unreadable",
        "other-torch": "failed torch_version_wanted",
        "outside": "failed bad_requirement",
    }
    freeze = box.freeze()
    assert freeze["numpee"] == "2.1.0"
    assert {"made", "plain", "new-one"} <= freeze.keys()
    assert {lane_of(run, "plain"), lane_of(run, "made")} == {"agrees", "long_build"}
    conflict = run.snapshot().nodes["numpee-old"].error
    assert conflict is not None and "numpee-new" in conflict.hint and "numpee" in conflict.message
