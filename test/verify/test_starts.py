"""ComfyUI is started as often as it must be and no more: each start is counted, and the phase says why it was made."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable

import pytest

from app.protocol.events import PhaseChanged
from app.protocol.states import Phase, StepStatus
from app.standin.packs import Pack
from test.guard.conftest import BoxFactory
from test.runner.rig import Rig, Run
from test.support.package_index import PackageIndex
from test.verify.conftest import NODES, Verify

pytestmark = pytest.mark.slow

MakePack = Callable[..., Pack]
DIES = "import os; os._exit(3)"
CRASHES = "import ctypes; ctypes.string_at(0)"
PACKS = 40
IMPORT_SECONDS = 0.12


def starts(run: Run) -> list[str]:
    """The arguments of each start of ComfyUI, --help left out."""
    log = (run.folder / "imports.log").read_text()
    return [line for line in re.findall(r"^# main\.py (.*)$", log, flags=re.MULTILINE) if line != "--help"]


def said(run: Run) -> list[str]:
    """Why ComfyUI was started, as the phase says."""
    found = re.search(r"ComfyUI was started (?:once|(\d+) times): (.*)$", run.snapshot().phases[Phase.VERIFY].detail)
    assert found is not None
    reasons = found.group(2).split(", ")
    assert int(found.group(1) or 1) == len(reasons) == len(starts(run))
    return reasons


def phase_seconds(run: Run) -> float:
    """From the phase's begin to its end."""
    told = [(event.body, event.wall) for event in run.events()]
    times = {body.status: at for body, at in told if isinstance(body, PhaseChanged) and body.phase is Phase.VERIFY}
    return times[StepStatus.SUCCESS] - times[StepStatus.RUNNING]


def own_seconds(rig: Rig) -> float:
    """What ComfyUI's own start with everything that is in custom_nodes takes."""
    assert rig.environment is not None
    argv = [str(rig.environment.python), "main.py", "--quick-test-for-ci", "--cpu"]
    began = time.monotonic()
    subprocess.run(argv, cwd=rig.ui_home, env=rig.environ, check=True, capture_output=True, timeout=60)
    return time.monotonic() - began


def test_forty_packs_take_one_start(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """And the one without packs, which runs beside the clones. The phase takes little more than ComfyUI itself."""
    code = f"import threading; threading.Event().wait({IMPORT_SECONDS})"
    run = verify([pack(f"p{number:02}", code) for number in range(PACKS)])
    assert {node.verified for node in run.snapshot().nodes.values()} == {True}
    assert said(run) == ["without packs", "with all packs"]
    ours, own = phase_seconds(run), own_seconds(rig)
    print(f"verification {ours:.2f} s, ComfyUI's own start {own:.2f} s: {ours / own:.2f}")
    assert ours <= 1.3 * own


def test_comfyui_is_not_waited_for_once_it_has_shown_all(verify: Verify, pack: MakePack) -> None:
    """A thread that never ends, and what is to be done at the end, keep it from its end; all is known by then."""
    lives = "import threading; threading.Thread(target=threading.Event().wait).start()"
    run = verify([pack("lives", lives), pack("bad", "1/0"), pack("good")], {"import_idle": 30})
    assert {name: node.verified for name, node in run.snapshot().nodes.items()} == {
        "lives": True,
        "bad": False,
        "good": True,
    }
    assert said(run) == ["without packs", "with all packs"]
    assert phase_seconds(run) < 15


def test_comfyui_is_waited_for_while_a_pack_installs(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """A program that an import has started beside it is not ended in the middle of its work."""
    mark = rig.home / "installed"
    work = f"import threading; threading.Event().wait(3); open({str(mark)!r}, 'w').close()"
    starter = (
        "import subprocess, sys, threading\n"
        f"argv = [sys.executable, '-c', {work!r}]\n"
        "threading.Thread(target=subprocess.run, args=(argv,)).start()"
    )
    run = verify([pack("starter", starter), pack("good")], {"import_idle": 30})
    assert run.state("starter") == "verified"
    assert mark.exists()


def test_a_start_beside_the_clones_that_failed_is_made_up_for(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """Its reason is gone later. No package was changed since, so it is tried again, once."""
    _fail_once(rig)
    run = verify([pack("good"), pack("bad", "1/0")])
    assert run.state("good") == "verified"
    assert said(run) == ["without packs", "without packs again", "with all packs"]


def test_a_start_that_met_half_of_a_package_is_not_repeated(box_factory: BoxFactory, index: PackageIndex) -> None:
    """Packages were changed since it failed: the start with all packs shows as well that ComfyUI starts."""
    box = box_factory()
    _fail_once(box)
    index.wheel("thing", "1.0")
    code = "import thing\n" + NODES % "user"
    run = box.install([box.pack("user", "thing", files={"__init__.py": code})], options={"verify": True})
    assert run.state("user") == "verified"
    assert said(run) == ["without packs", "with all packs"]


def _fail_once(rig: Rig) -> None:
    """ComfyUI's next start fails, and no later one."""
    mark = rig.home / "once"
    main = rig.ui_home / "main.py"
    once = (
        f"    mark = Path({str(mark)!r})\n    if '--help' not in sys.argv and not mark.exists():\n"
        "        mark.touch()\n        sys.exit(7)\n"
    )
    main.write_text(main.read_text().replace("def main() -> None:\n", "def main() -> None:\n" + once))


def test_one_that_crashes_costs_two_starts_more(verify: Verify, pack: MakePack) -> None:
    """Its stack names it: once without it, and once with it alone, to prove it."""
    run = verify([*(pack(f"p{number}") for number in range(8)), pack("crasher", CRASHES)])
    assert run.state("crasher") == "failed import_crashes"
    assert said(run) == ["without packs", "with all packs", "without crasher", "with crasher alone to prove it"]


def test_one_of_many_that_is_not_named_is_found_by_halves(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """Its start alone, which halving ends with, is its proof too."""
    main = rig.ui_home / "main.py"
    main.write_text(main.read_text().replace('logging.debug("Trying', 'logging.debug("'))
    run = verify([pack(f"p{number:02}", DIES if number == 11 else "") for number in range(16)])
    verdicts = {name: node.verified for name, node in run.snapshot().nodes.items()}
    assert verdicts == {name: name != "p11" for name in verdicts}
    assert said(run) == [
        "without packs",
        "with all packs",
        "without packs again",
        "with all packs telling which it tries",
        "with 8 packs to find who it is",
        "with 4 packs to find who it is",
        "with 2 packs to find who it is",
        "with p10 alone to find who it is",
        "with p11 alone to find who it is",
        "without p11",
    ]


def test_nothing_cloned_needs_no_start(verify: Verify, rig: Rig) -> None:
    """But for the one that runs beside the clones."""
    run = verify([{"name": "gone", "repo_url": "http://127.0.0.1:9/o/gone"}])
    assert len(starts(run)) <= 1
    assert os.listdir(rig.custom_nodes) == []
