"""What has to be built: nobody else waits for it, what failed is not tried again, and a long one can be skipped. The
builds wait for files that the tests or other packs' packages make, so that order proves it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.protocol.events import BuildChanged, NodeChanged, PackagesProgress, RequirementsChanged
from app.protocol.states import BuildState, TaskState
from app.runner.machine.memory import free_memory
from test.plan.box import Box, lane_of, plan_of, states
from test.runner.rig import Run
from test.support.waiting import wait_until

pytestmark = pytest.mark.registry

_UNTIL = """
import os, select
open({begun!r}, "w").close()
for _ in range(1500):
    if os.path.exists({sign!r}):
        break
    select.select([], [], [], 0.02)
else:
    raise RuntimeError("nobody made the sign")
"""
"""Python that a build runs first: until a file is there, 30 s at most."""


def until(sign: Path, begun: Path | str = os.devnull) -> str:
    return _UNTIL.format(sign=str(sign), begun=str(begun))


def builds(run: Run, package: str) -> list[str]:
    """The states that were told of a package's build."""
    told = [each.state.value for each in run.told(BuildChanged) if each.package == package]
    return [state for number, state in enumerate(told) if number == 0 or told[number - 1] != state]


def begun(box: Box, run: Run) -> None:
    wait_until((box.home / "begun").exists, what="the build has begun")
    assert not run.is_over()


def test_a_pack_that_wants_a_change_waits_for_no_build(box: Box) -> None:
    """The build ends only when the other pack's package was changed."""
    assert box.environment is not None
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.have("changed==1.0")
    there = box.environment.packages / "changed-2.0.dist-info"
    box.index.sdist("made", "1.0", building=until(there))
    run = box.run_of(box.pack("builds", "made"), box.pack("changes", "changed>=2"))
    assert states(run) == {"builds": "installed", "changes": "installed"}, run.said()
    assert (lane_of(run, "changed"), lane_of(run, "made")) == ("wants_change", "long_build")


def test_each_pack_is_installed_when_its_own_builds_have_ended(box: Box) -> None:
    """Packs of one resolution; the long build ends only when the short one's pack is there. All is told."""
    assert box.environment is not None
    box.index.sdist("short", "1.0")
    box.index.sdist("long", "1.0", building=until(box.environment.packages / "short"))
    run = box.run_of(box.pack("first", "long"), box.pack("second", "short"))
    assert states(run) == {"first": "installed", "second": "installed"}, run.said()
    assert [told.name for told in run.told(NodeChanged, state="installed")] == ["second", "first"]
    assert builds(run, "long") == builds(run, "short") == ["waiting", "running", "done"]
    ended = run.told(BuildChanged, package="long")[-1]
    assert (ended.version, ended.packs) == ("1.0", ("first",))
    assert ended.seconds is not None


def test_what_is_still_behind_a_build_is_counted(box: Box) -> None:
    """While something is built there is more to come, so not all is done."""
    assert box.environment is not None
    box.index.wheel("quick", "1.0")
    box.index.sdist("long", "1.0", building=until(box.environment.packages / "quick"))
    run = box.run_of(box.pack("first", "long"), box.pack("second", "quick"))
    told = [(each.done, each.total) for each in run.told(PackagesProgress)]
    assert (1, 2) in told and told[-1] == (2, 2), told


def test_what_failed_once_is_not_tried_again(box: Box) -> None:
    """Two packs want a placeholder that nobody can build, one of them through another package."""
    counted = box.home / "tries"
    box.index.sdist("bad", "1.0", building=f"open({str(counted)!r}, 'a').write('x')", broken="a placeholder")
    box.index.wheel("needs-bad", "1.0", ["bad"])
    box.index.wheel("good", "1.0")
    run = box.run_of(box.pack("one", "bad", "good"), box.pack("two", "needs-bad"), box.pack("three", "good"))
    assert states(run) == {"one": "failed build_failed", "two": "failed build_failed", "three": "installed"}, run.said()
    assert counted.read_text() == "x"
    assert builds(run, "bad") == ["waiting", "running", "failed"]


def test_a_pack_that_can_do_without_what_cannot_be_built_gets_an_older_version(box: Box) -> None:
    """Only the newest version of what it asks for needs the build."""
    box.index.sdist("bad", "1.0", broken="a placeholder")
    box.index.wheel("tool", "2.0", ["bad"])
    box.index.wheel("tool", "1.0")
    run = box.run_of(box.pack("one", "tool"))
    assert states(run) == {"one": "installed"}, run.said()
    assert box.freeze()["tool"] == "1.0"


def test_a_build_can_be_skipped(box: Box) -> None:
    """Only the pack that needs it fails, with what it was; nothing of the build is left."""
    box.index.wheel("quick", "1.0")
    box.index.sdist("made", "1.0", building=until(box.home / "never", box.home / "begun"))
    run = box.start([box.pack("builds", "made"), box.pack("fast", "quick")])
    begun(box, run)
    assert run.rig.call("skip", run.task_id, "--package=Made")["status"] == "running"
    run.wait()
    assert states(run) == {"builds": "failed build_skipped", "fast": "installed"}, run.said()
    assert builds(run, "made") == ["waiting", "running", "skipped"]
    assert run.processes() == set()


def test_a_cancel_ends_a_build(box: Box) -> None:
    box.index.sdist("made", "1.0", building=until(box.home / "never", box.home / "begun"))
    run = box.start([box.pack("builds", "made")])
    begun(box, run)
    run.cancel()
    run.wait()
    assert run.snapshot().state is TaskState.CANCELLED
    assert run.processes() == set()
    assert "made" not in box.freeze()


def test_a_plan_that_was_overtaken_is_made_again(box: Box) -> None:
    """While it was built, another pack brought what it needs in an older version, which fits it too."""
    assert box.environment is not None
    for version in ("1.0", "2.0"):
        box.index.wheel("shared", version)
        box.index.wheel("other", version)
    box.have("other==1.0")
    there = box.environment.packages / "other-2.0.dist-info"
    box.index.sdist("made", "1.0", ["shared"], building=until(there))
    run = box.run_of(box.pack("builds", "made"), box.pack("changes", "other>=2", "shared<2"))
    assert states(run) == {"builds": "installed", "changes": "installed"}, run.said()
    found = box.freeze()
    assert (found["shared"], found["other"], found["made"]) == ("1.0", "2.0", "1.0")


def test_a_plan_that_was_overtaken_is_made_again_without_those_that_still_wait(box: Box) -> None:
    """uv would wait for a build that is under way. The long one ends only when the other pack is installed, whose plan
    was overtaken while it was built."""
    assert box.environment is not None
    for version in ("1.0", "2.0"):
        box.index.wheel("other", version)
    box.have("other==1.0")
    box.index.sdist("short", "1.0", building=until(box.environment.packages / "other-2.0.dist-info"))
    box.index.sdist("long", "1.0", building=until(box.environment.packages / "short"))
    run = box.run_of(box.pack("one", "long"), box.pack("two", "short"), box.pack("changes", "other>=2"))
    assert states(run) == dict.fromkeys(["one", "two", "changes"], "installed"), run.said()
    assert builds(run, "long") == ["waiting", "running", "done"]


@pytest.mark.parametrize("plan_only", [False, True], ids=["installed", "planned"])
def test_a_built_package_that_wants_another_version_of_what_the_first_stage_brings(box: Box, plan_only: bool) -> None:
    """Nobody knows that when the first stage is planned: both packs are served, and a mere plan comes to its end."""
    for version in ("1.0", "2.0"):
        box.index.wheel("shared", version)
    box.index.sdist("made", "1.0", ["shared<2"])
    run = box.run_of(box.pack("fast", "shared>=1"), box.pack("builds", "made"), options={"plan_only": plan_only})
    if plan_only:
        assert {change["package"] for change in plan_of(run)} == {"shared", "made"}, run.said()
        assert "shared" not in box.freeze()
    else:
        assert states(run) == {"fast": "installed", "builds": "installed"}, run.said()
        assert box.freeze()["shared"] == "1.0"


def test_a_build_that_nobody_needs_any_more_is_ended(box: Box) -> None:
    """At once: what wanted it cannot be had, for want of another build. It would take half a minute."""
    box.index.sdist("bad", "1.0", building=until(box.home / "begun"), broken="a placeholder")
    box.index.sdist("long", "1.0", building=until(box.home / "never", box.home / "begun"))
    box.index.wheel("wants-both", "1.0", ["long", "bad"])
    run = box.run_of(box.pack("one", "wants-both"))
    assert states(run) == {"one": "failed build_failed"}, run.said()
    assert builds(run, "long") == ["waiting", "running", "skipped"]
    seconds = run.told(BuildChanged, package="long")[-1].seconds
    assert seconds is not None and seconds < 20, "nobody asked uv for what it is just building"
    assert run.processes() == set()


def test_a_failure_is_told_when_it_is_known(box: Box) -> None:
    """Not at the end: the other pack's build ends only when the log of the run has it."""
    box.index.sdist("bad", "1.0", broken="a placeholder")
    box.index.sdist("made", "1.0", building=until(box.home / "told"))
    run = box.start([box.pack("one", "bad", install_py="pass"), box.pack("two", "made")])
    wait_until(lambda: bool(run.told(RequirementsChanged, status="failed")), 30, "the failure is told")
    problem = run.snapshot().nodes["one"].error
    assert problem is not None and problem.code == "build_failed"
    (box.home / "told").touch()
    run.wait()
    assert states(run) == {"one": "failed build_failed", "two": "installed"}, run.said()


def test_a_pack_from_a_repository_is_built_beside_the_others(box: Box) -> None:
    """What comes from an address has to be built, too."""
    box.index.wheel("quick", "1.0")
    address = box.index.sdist("made", "1.0")
    run = box.run_of(box.pack("builds", f"made @ {address}"), box.pack("fast", "quick"))
    assert states(run) == {"builds": "installed", "fast": "installed"}, run.said()
    assert run.told(BuildChanged, package="made")[-1].state is BuildState.DONE


def test_free_memory_is_told_in_bytes() -> None:
    """As much as a machine may have: neither kilobytes nor the kernel's number for no limit."""
    found = free_memory()
    assert found is not None and 1 << 24 < found < 1 << 44
