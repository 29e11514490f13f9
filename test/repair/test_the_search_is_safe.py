"""The search touches nothing that is real, ends in time and at a cancel, and leaves nothing; what it finds is applied
only where it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.protocol.repairs import RepairState
from app.protocol.states import TaskState
from app.standin.packs import add_commit, make_pack
from test.plan.box import Box, states
from test.plan.test_odd_environments import own_python
from test.repair.conftest import code, content, install, needs, repair_of
from test.runner.rig import git, node
from test.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.registry]

IN_A_COPY = "import sys\nCOPIED = '.nodeferry' in sys.prefix\n"
VANDAL = f"""{IN_A_COPY}
import os, shutil, subprocess, lib
if COPIED:
    with open(lib.__file__, "a") as file:
        file.write("# patched\\n")
    os.truncate(lib.__file__.replace("__init__.py", "data.txt"), 1)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "extra==1.0"], check=True)
    subprocess.run(["uv", "pip", "install", "-q", "--no-deps", "other==1.0"], check=True)
    subprocess.run([shutil.which("pip"), "uninstall", "-q", "-y", "gone"], check=True)
"""


def prepared(box: Box, *, body: str = "import lib") -> list[dict[str, Any]]:
    """A machine with a library, a pack that needs it older than it is, and another one."""
    for version in ("1.0", "2.0"):
        modules = {"lib/__init__.py": f"__version__ = {version!r}\n", "lib/data.txt": "12345"}
        box.index.wheel("lib", version, modules=modules)
    for name in ("extra", "other", "gone"):
        box.index.wheel(name, "1.0")
    box.have("lib==2.0", "gone==1.0")
    return [box.pack("meant", "lib<2", **code("meant", needs("lib", "1.0"))), box.pack("any", **code("any", body))]


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The files that are not the same, but for byte code."""
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {name for name in names if "__pycache__" not in name}


def test_packs_that_write_into_packages_and_install_some_do_so_in_the_copy(box: Box) -> None:
    """By ComfyUI's Python, by uv and by the pip that is found first: as a running ComfyUI of a venv has it."""
    packs = prepared(box, body=VANDAL)
    box.environ["PATH"] = f"{box.ui_home}/venv/bin:{box.environ['PATH']}"
    box.environ["VIRTUAL_ENV"] = str(box.ui_home / "venv")
    before = content(box.ui_home / "venv")
    run = install(box, *packs)
    assert repair_of(run).loads == ("meant",), repair_of(run)
    assert changed(before, content(box.ui_home / "venv")) == set()
    assert not run.staging.exists()
    box.have("lib==1.0")  # from uv's cache, in which they did not write either
    assert "patched" not in next(box.ui_home.glob("venv/lib/python3*/site-packages/lib/__init__.py")).read_text()


@pytest.mark.parametrize("conda", [True, False])
def test_a_python_that_is_no_venv_is_copied_as_one(box: Box, conda: bool) -> None:
    prefix = box.home / "python"
    site = own_python(prefix)
    if conda:
        (prefix / "conda-meta").mkdir()
    (site / "torch").symlink_to(next(box.ui_home.glob("venv/lib/python3*/site-packages")) / "torch")
    packs = prepared(box, body=IN_A_COPY + "import lib\nif COPIED: open(lib.__file__, 'a').write('# patched\\n')")
    argv_python = box.environment
    assert argv_python is not None
    for package in ("lib", "gone"):
        found = next(box.ui_home.glob("venv/lib/python3*/site-packages"))
        for path in found.glob(f"{package}*"):
            path.rename(site / path.name)
    before = content(prefix)
    run = install(box, *packs, venv_path=str(prefix))
    assert repair_of(run).loads == ("meant",), (repair_of(run), run.said())
    assert changed(before, content(prefix)) == set()


@pytest.mark.parametrize("how", ["time", "disk"])
def test_what_it_may_cost_ends_it(box: Box, how: str) -> None:
    """The run goes on, and says so; nothing is left."""
    slow = f"{IN_A_COPY}\nimport threading\nif COPIED: threading.Event().wait(60)"
    packs = prepared(box, body="")
    packs.append(box.pack("also", "lib<2", **code("also", f"{slow}\n{needs('lib', '1.0')}")))
    if how == "time":
        run = install(box, *packs, options={"repair_seconds": 3})
    else:
        run = install(box, *packs, limits={"repair_disk": 1000})
    found = repair_of(run)
    assert found.ended == {"time": "the time that it may take was over (3 s)", "disk": found.ended}[how]
    assert how == "time" or "disk" in found.ended.lower(), found
    assert (found.state, found.packages) == (RepairState.NOTHING, ())
    assert run.snapshot().state is TaskState.COMPLETED
    assert not run.staging.exists()
    assert found.seconds < 20


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_a_run_that_is_ended_in_the_middle_leaves_nothing(box: Box, tmp_path: Path, how: str) -> None:
    """A cancel ends it at once; the sweep of a killed run removes the copy. The environment is what it was."""
    reached = tmp_path / "reached"
    slow = f"{IN_A_COPY}import threading\nif COPIED:\n    open({str(reached)!r}, 'w').close()\n"
    slow += "    threading.Event().wait(60)"
    packs = prepared(box, body="")
    packs.append(box.pack("also", "lib<2", **code("also", f"{slow}\n{needs('lib', '1.0')}")))
    before = content(box.ui_home / "venv")
    run = box.start(packs, options={"verify": True})
    wait_until(reached.exists, 40, what="the trial")
    assert (run.staging / "repair" / "environment").is_dir()
    if how == "cancel":
        assert run.cancel() == "ended"
        snapshot = run.snapshot()
        assert snapshot.state is TaskState.CANCELLED
        assert snapshot.repair is not None and snapshot.repair.state is RepairState.UNFINISHED
    else:
        run.kill_runner()
        run.sweep()
    assert not run.staging.exists()
    assert not run.processes()
    assert changed(before, content(box.ui_home / "venv")) == set()


def test_it_is_applied_in_the_run_where_that_was_asked_for_and_rolled_back_as_any_run(box: Box) -> None:
    good, bad = "import json", "from comfy import not_in_this_version"
    moving = make_pack(box.git, "owner", "moving", **code("moving", good))
    moving = add_commit(box.git, moving, code("moving", bad)["files"])
    packs = [*prepared(box), node(moving)]
    before = box.freeze()
    run = install(box, *packs, options={"repair": "apply"})
    assert states(run) == {"meant": "verified older_version_wanted", "any": "verified", "moving": "verified"}, (
        run.said()
    )
    assert repair_of(run).state is RepairState.APPLIED
    assert box.freeze()["lib"] == "1.0"
    assert git(box.custom_nodes / "moving", "rev-parse", "HEAD") == moving.commits[0]
    assert run.snapshot().nodes["moving"].commit == moving.commits[0]
    assert [warning.code for warning in run.snapshot().warnings] == []
    box.install([], rollback_of=run.task_id, options={"verify": False})
    assert box.freeze() == before
    assert not (box.custom_nodes / "moving").exists()


def test_without_a_second_round_bounds_are_obeyed_as_they_stand(box: Box) -> None:
    run = install(box, *prepared(box), options={"repair": "off"})
    assert states(run) == {"meant": "verified", "any": "verified"}
    assert (box.freeze()["lib"], run.snapshot().repair) == ("1.0", None)
