"""What is done before its turn: resolved and fetched beside the clones, planned beside the installation. Order proves
it, with a uv that waits for what should have begun by then."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from app.protocol.events import NodeChanged, PackagesPlanned, PhaseChanged, Warned
from app.protocol.states import TaskState
from app.runner.resolve.metadata_mirror import MetadataMirror
from test.plan.box import Box, lane_of, plan_of, states
from test.plan.conftest import BoxFactory
from test.runner.rig import QUICK
from test.support.waiting import wait_until

pytestmark = pytest.mark.registry
_PATHS = "import json, sys; print(json.dumps(sys.path))"
_WAIT = "n=0; until [ {until} ]; do n=$((n+1)); [ $n -lt 150 ] || exit 9; read -t 0.1 _ <> <(:); done"
"""Until something holds, 15 s at most: a program of the test's own."""


def odd_uv(box: Box, where: str, does: str, otherwise: str = "") -> Path:
    """A uv that `does` something of its own first when its arguments have `where` (a shell pattern) in them, and else
    `otherwise`; the folder it is in."""
    folder = box.home / "odd-uv"
    folder.mkdir()
    script = f'#!/bin/bash\ncase " $* " in {where}) {does};; *) {otherwise or ":"};; esac\nexec {box.uv} "$@"\n'
    (folder / "uv").write_text(script)
    (folder / "uv").chmod(0o755)
    box.environ["PATH"] = f"{folder}:/usr/bin:/bin"
    return folder


def answer(box: Box, requirements: Path, *arguments: str) -> list[str]:
    """The changes that uv plans."""
    assert box.environment is not None
    argv = [str(box.uv), "pip", "install", "--dry-run", "--python", str(box.environment.python), *arguments]
    done = subprocess.run([*argv, "-r", str(requirements)], env=box.environ, capture_output=True, text=True, check=True)
    return [line for line in done.stderr.splitlines() if line.startswith((" +", " -", " ~"))]


def shadow_of(box: Box) -> MetadataMirror:
    assert box.environment is not None
    done = subprocess.run([str(box.environment.python), "-c", _PATHS], capture_output=True, text=True, check=True)
    return MetadataMirror(box.home / "shadow", json.loads(done.stdout))


def test_the_shadow_answers_as_the_environment_does(box: Box, tmp_path: Path) -> None:
    """What is added, changed and kept, a local build and what came from an address included; nothing is written."""
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.index.wheel("needs", "1.0", ["changed>=2", "torch>=2", "fresh"])
    box.index.wheel("fresh", "1.0")
    address = box.index.wheel("direct", "1.0")
    box.have("changed==1.0", f"direct @ {address}")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(f"needs\ntorch\ndirect @ {address}\n")
    mirror = shadow_of(box)
    with mirror.lent() as seen, mirror.lent() as other:
        assert seen != other
        found = answer(box, wanted, "--target", str(seen))
        assert found == answer(box, wanted)
    assert found == [" - changed==1.0", " + changed==2.0", " + fresh==1.0", " + needs==1.0"]
    assert mirror.look() == {name: version for name, version in box.freeze().items() if name}
    box.have("changed==2.0")
    assert mirror.look()["changed"] == "2.0"


def test_the_shadow_has_what_the_system_has(box_factory: BoxFactory, tmp_path: Path) -> None:
    """uv itself does not see that."""
    box = box_factory(system_site_packages=True)
    box.index.wheel("needs", "1.0", ["torch>=2"])
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("needs\n")
    with shadow_of(box).lent() as seen:
        assert answer(box, wanted, "--target", str(seen)) == [" + needs==1.0"]


def test_a_lane_is_planned_while_the_one_before_is_installed(box: Box) -> None:
    """The first stage's installation only goes on when the second one was resolved; its plan is told after it all the
    same, and before it changes anything."""
    for version in ("1.0", "2.0"):
        box.index.wheel("changed", version)
    box.index.wheel("added", "1.0")
    box.have("changed==1.0")
    sign = box.home / "second-lane"
    second = f'[[ "$*" == *--dry-run* && "$*" != *frozen.txt* ]] && touch {sign}'
    odd_uv(box, "*plan-1.txt*", _WAIT.format(until=f"-e {sign}"), second)
    run = box.run_of(box.pack("one", "added"), box.pack("two", "changed>=2"))
    assert states(run) == {"one": "installed", "two": "installed"}, run.said()
    assert [change["lane"] for change in plan_of(run)] == ["agrees", "wants_change"]
    events = run.events()
    told = [number for number, event in enumerate(events) if isinstance(event.body, PackagesPlanned)]
    first = next(n for n, e in enumerate(events) if isinstance(e.body, NodeChanged) and e.body.state == "installed")
    assert told[0] < first < told[1]


def test_builds_go_on_while_the_first_lane_is_installed(box: Box) -> None:
    """The first stage's installation only goes on when a build was begun; its plan is told after it all the same, and
    before it changes anything."""
    box.index.wheel("added", "1.0")
    box.index.sdist("made", "1.0")
    sign = box.home / "building"
    odd_uv(box, "*plan-1.txt*", _WAIT.format(until=f"-e {sign}"), f'[[ "$*" == *builds/made* ]] && touch {sign}')
    run = box.run_of(box.pack("one", "added"), box.pack("two", "made"))
    assert states(run) == {"one": "installed", "two": "installed"}, run.said()
    assert [change["lane"] for change in plan_of(run)] == ["agrees", "long_build"]
    events = run.events()
    told = [number for number, event in enumerate(events) if isinstance(event.body, PackagesPlanned)]
    first = next(n for n, e in enumerate(events) if isinstance(e.body, NodeChanged) and e.body.state == "installed")
    assert told[0] < first < told[1]


def test_the_first_lane_waits_for_no_build(box: Box) -> None:
    """Nothing that may build goes on before the first stage's package is there; what takes long to say what it requires
    is not waited for."""
    assert box.environment is not None
    box.index.wheel("quick", "1.0")
    box.index.sdist("made", "1.0")
    there = box.environment.packages / "quick"
    odd_uv(box, "*--no-build*", ":", f'[[ "$*" != *pip*install* ]] || {{ {_WAIT.format(until=f"-d {there}")}; }}')
    run = box.run_of(box.pack("builds", "made"), box.pack("fast", "quick"), limits={**QUICK, "resolve_builds": 1.0})
    assert states(run) == {"builds": "installed", "fast": "installed"}, run.said()
    assert lane_of(run, "made") == "long_build"


def test_one_resolution_tells_both_lanes(box: Box) -> None:
    """What needs wheels alone is installed first; what has to be built comes after it, of the same answer."""
    box.index.wheel("quick", "1.0")
    box.index.sdist("made", "1.0", ["quick"])
    run = box.run_of(box.pack("builds", "made"), box.pack("fast", "quick"))
    assert states(run) == {"builds": "installed", "fast": "installed"}, run.said()
    assert (lane_of(run, "quick"), lane_of(run, "made")) == ("agrees", "long_build")
    there = [told.name for told in run.told(NodeChanged, state="installed")]
    assert there == ["fast", "builds"]


def test_one_that_cannot_be_built_fails_alone(box: Box) -> None:
    """The others of its stage are there all the same."""
    box.index.sdist("made", "1.0")
    box.index.sdist("made-too", "1.0")
    box.index.sdist("unmakeable", "1.0", broken="error: command 'gcc' failed: No such file or directory")
    run = box.run_of(box.pack("one", "made"), box.pack("bad", "unmakeable"), box.pack("two", "made-too"))
    assert states(run) == {"one": "installed", "bad": "failed compiler_missing", "two": "installed"}, run.said()
    assert {change["package"] for change in plan_of(run)} == {"made", "made-too"}


def test_a_pack_with_all_its_packages_waits_for_nobodys_build(box: Box) -> None:
    """The build only goes on when the other pack's script has run, and the other build's pack is installed."""
    assert box.environment is not None
    box.index.wheel("quick", "1.0")
    box.index.sdist("made", "1.0")
    box.index.sdist("soon", "1.0")
    sign, there = box.home / "script-ran", box.environment.packages / "soon"
    odd_uv(box, "*builds/made*", _WAIT.format(until=f"-e {sign} -a -d {there}"))
    script = f"open({str(sign)!r}, 'w').close()\n"
    run = box.run_of(
        box.pack("builds", "made"), box.pack("also-builds", "soon"), box.pack("fast", "quick", install_py=script)
    )
    assert states(run) == dict.fromkeys(["builds", "also-builds", "fast"], "installed"), run.said()
    assert [told.name for told in run.told(NodeChanged, state="installed")][-1] == "builds"


def test_what_a_script_brought_does_not_stay_beside_another_variant_that_was_built_for(box: Box) -> None:
    """The plan was made before the script ran, and its packages are installed after it."""
    for name in ("opencv-python-headless", "opencv-contrib-python"):
        box.index.wheel(name, "4.11", modules={"cv2/__init__.py": f"which = {name!r}\n"})
    box.index.sdist("made", "1.0")
    sign = box.home / "script-ran"
    odd_uv(box, "*builds/made*", _WAIT.format(until=f"-e {sign}"))
    install = f"import subprocess, sys\nargv = [{str(box.uv)!r}, 'pip', 'install', '--python', sys.executable]\n"
    install += f"subprocess.run([*argv, 'opencv-contrib-python'], check=True)\nopen({str(sign)!r}, 'w').close()\n"
    run = box.run_of(box.pack("late", "made", "opencv-python-headless"), box.pack("early", install_py=install))
    assert states(run) == {"late": "installed", "early": "installed"}, run.said()
    assert [name for name in box.freeze() if name.startswith("opencv")] == ["opencv-contrib-python"]
    told = {warned.code: warned.message for warned in run.told(Warned)}
    assert "opencv-python-headless 4.11 removed" in told["changed_by_script"]


@pytest.fixture
def slow(box: Box) -> list[dict[str, object]]:
    """Two packs; the second one's clone ends only when something was fetched for the first one."""
    box.index.wheel("alpha", "1.0")
    begun = box.home / "fetching"
    git = box.home / "odd-git"
    git.mkdir()
    wait = _WAIT.format(until=f"-e {begun}")
    (git / "git").write_text(f'#!/bin/bash\n[[ "$*" != *late* ]] || {{ {wait}; }}\nexec /usr/bin/git "$@"\n')
    (git / "git").chmod(0o755)
    return [box.pack("early", "alpha"), box.pack("late")]


@pytest.mark.parametrize("does", ["exit 2", ":"])
def test_what_is_needed_is_fetched_while_others_are_cloned(box: Box, slow: list[dict[str, object]], does: str) -> None:
    """It harms nothing when that fails, and nothing is left of it."""
    odd_uv(box, "*fetched-*", f"touch {box.home / 'fetching'}; {does}")
    box.environ["PATH"] = f"{box.home / 'odd-git'}:{box.environ['PATH']}"
    run = box.run_of(*slow)
    assert states(run) == {"early": "installed", "late": "installed"}, run.said()
    assert (box.home / "fetching").exists(), "nothing was fetched beside the clones"
    assert not [path for path in run.folder.rglob("*fetched-*") if path.is_dir()]


def test_a_cancel_in_the_middle_of_a_fetch_leaves_no_process(box: Box, slow: list[dict[str, object]]) -> None:
    """Nor anything installed."""
    odd_uv(box, "*fetched-*", f"touch {box.home / 'fetching'}; exec tail -f /dev/null")
    box.environ["PATH"] = f"{box.home / 'odd-git'}:{box.environ['PATH']}"
    run = box.start(slow)
    wait_until((box.home / "fetching").exists, what="a fetch has begun")
    run.cancel()
    run.wait()
    assert run.snapshot().state is TaskState.CANCELLED
    assert run.processes() == set()
    assert "alpha" not in box.freeze()


def slow_clone(box: Box, name: str, until: str) -> None:
    """git clones this pack only when something holds."""
    git = box.home / "odd-git"
    git.mkdir()
    wait = _WAIT.format(until=until)
    (git / "git").write_text(f'#!/bin/bash\n[[ "$*" != *owner/{name}* ]] || {{ {wait}; }}\nexec /usr/bin/git "$@"\n')
    (git / "git").chmod(0o755)
    box.environ["PATH"] = f"{git}:{box.environ['PATH']}"


def resolutions(box: Box) -> list[list[str]]:
    """The arguments of each resolution that uv was asked for."""
    calls = [line.split() for line in (box.home / "calls").read_text().splitlines()]
    return [call for call in calls if "--dry-run" in call]


def files(call: list[str]) -> list[str]:
    """The packs' files in a call."""
    return [Path(word).name for flag, word in pairwise(call) if flag == "-r"]


def test_what_is_there_does_not_wait_for_a_clone_that_takes_long(box: Box) -> None:
    """The last clone only goes on when the other pack's package is installed; it may not change that any more."""
    assert box.environment is not None
    for version in ("1.0", "2.0"):
        box.index.wheel("alpha", version)
    box.index.wheel("beta", "1.0")
    box.environ["PATH"] = f"{box.uv.parent}:/usr/bin:/bin"
    slow_clone(box, "late", f"-d {box.environment.packages / 'alpha'}")
    run = box.run_of(
        box.pack("early", "alpha>=2"), box.pack("plain"), box.pack("late", "beta"), box.pack("late-foe", "alpha<2")
    )
    good = {"early": "installed", "plain": "installed", "late": "installed"}
    assert states(run) == {**good, "late-foe": "failed requirement_conflict"}, run.said()
    assert box.freeze()["alpha"] == "2.0"
    moves = [(told.name, told.state.value) for told in run.told(NodeChanged)]
    assert moves.index(("early", "installed")) < moves.index(("late", "cloned"))
    phases = [(told.phase, told.status, told.detail) for told in run.told(PhaseChanged)]
    assert len(phases) == len(set(phases)), "a phase began or ended twice"


def test_the_answer_from_beside_the_clones_is_the_plan(box: Box) -> None:
    """All packs were there when it was made: nothing is resolved again."""
    box.index.wheel("alpha", "1.0")
    box.index.wheel("beta", "1.0")
    odd_uv(box, "*", f'echo "$*" >> {box.home / "calls"}')
    slow_clone(box, "plain", f"-e {box.home / 'calls'}")
    run = box.run_of(box.pack("one", "alpha"), box.pack("two", "beta"), box.pack("plain"))
    assert states(run) == {"one": "installed", "two": "installed", "plain": "installed"}, run.said()
    assert [sorted(files(call)) for call in resolutions(box)] == [["one.txt", "two.txt"]]


def test_a_pack_that_comes_later_is_asked_for_alone(box: Box) -> None:
    """What was asked for before is answered by the cache."""
    box.index.wheel("alpha", "1.0")
    box.index.wheel("beta", "1.0")
    odd_uv(box, "*", f'echo "$*" >> {box.home / "calls"}; [[ "$*" != *--dry-run* ]] || touch {box.home / "asked"}')
    slow_clone(box, "late", f"-e {box.home / 'asked'}")
    run = box.run_of(box.pack("one", "alpha"), box.pack("late", "beta"))
    assert states(run) == {"one": "installed", "late": "installed"}, run.said()
    asked = [(sorted(files(call)), "--offline" in call) for call in resolutions(box)]
    assert asked == [(["one.txt"], False), (["late.txt"], False), (["late.txt", "one.txt"], True)]


def test_nothing_is_built_before_all_packs_are_resolved(box: Box) -> None:
    """uv locks what it builds: the first stage would wait for a build that it does not need."""
    box.index.wheel("quick", "1.0")
    box.index.sdist("made", "1.0")
    odd_uv(box, "*", f'echo "$*" >> {box.home / "calls"}; [[ "$*" != *--dry-run* ]] || touch {box.home / "asked"}')
    slow_clone(box, "late", f"-e {box.home / 'asked'}")
    run = box.run_of(box.pack("builds", "made"), box.pack("late", "quick"))
    assert states(run) == {"builds": "installed", "late": "installed"}, run.said()
    calls = [line.split() for line in (box.home / "calls").read_text().splitlines()]
    builds = [n for n, call in enumerate(calls) if "--no-deps" in call and not {"--no-build", "--offline"} & set(call)]
    resolved = [n for n, call in enumerate(calls) if "--dry-run" in call and "late.txt" in files(call)]
    assert resolved[0] < builds[0]
