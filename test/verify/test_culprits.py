"""Who brings ComfyUI down when it is imported is found, at the cost of one hang each, and nobody else is blamed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from app.standin.packs import Pack
from test.runner.rig import Rig, Run
from test.verify.conftest import NODES, Verify

pytestmark = pytest.mark.slow

MakePack = Callable[..., Pack]
HANGS = "import threading; threading.Event().wait()"
LIMITS = {"import_idle": 2}


def verdicts(run: Run) -> dict[str, tuple[str, bool | None]]:
    """Each pack's state (with its reason) and what its import gave."""
    return {name: (run.state(name), found.verified) for name, found in run.snapshot().nodes.items()}


def starts(run: Run) -> list[str]:
    """What each start of ComfyUI printed."""
    return re.split(r"^# main\.py ", (run.folder / "imports.log").read_text(), flags=re.MULTILINE)[1:]


def hangs(run: Run) -> int:
    """How many starts of ComfyUI were waited out."""
    return sum("Fatal Python error: Aborted" in printed for printed in starts(run))


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "import os; os._exit(0)", "raise SystemExit"])
def test_a_single_pack_that_ends_comfyui_in_silence_is_blamed(verify: Verify, pack: MakePack, code: str) -> None:
    """Status 0 and no table look like an old ComfyUI's good end; that it never opened its database tells them apart."""
    assert verdicts(verify([pack("leaver", code)])) == {"leaver": ("failed import_exits", False)}


def test_a_pack_that_silences_comfyui_is_not_called_broken(verify: Verify, pack: MakePack) -> None:
    """ComfyUI comes to its end and tells nothing: the pack is unknown, with a warning; the others get their
    verdicts."""
    run = verify([pack("hush", "import logging; logging.disable(logging.CRITICAL)"), pack("good"), pack("bad", "1/0")])
    told = verdicts(run)
    assert told["hush"] == ("installed", None)
    assert told["good"] == ("verified", True)
    assert told["bad"][1] is False
    assert [warning.code for warning in run.snapshot().warnings] == ["import_untold"]


def test_a_pack_that_hangs_costs_one_hang(verify: Verify, pack: MakePack) -> None:
    """Its stack names it at once; its log has the stack, and the others get their verdicts."""
    run = verify([*map(pack, "abc"), pack("stuck", HANGS), pack("bad", "1/0")], LIMITS)
    told = verdicts(run)
    assert told["stuck"] == ("failed import_hangs", False)
    assert {told[name] for name in "abc"} == {("verified", True)}
    assert told["bad"][1] is False
    assert hangs(run) == 1
    assert len(starts(run)) == 4  # --help, without packs, with all, without the one
    error = run.snapshot().nodes["stuck"].error
    assert error is not None and "stopped after 2 seconds" in error.message
    assert "custom_nodes/stuck/__init__.py" in (run.folder / "nodes" / "stuck.log").read_text()


def test_several_that_hang_cost_one_hang_each(verify: Verify, pack: MakePack) -> None:
    """In whatever they hang: a lock, a program, a name that no ASCII has."""
    packs = [
        pack("stuck", HANGS),
        pack("waiting", "import subprocess; subprocess.run(['tail', '-f', '/dev/null'])"),
        pack("good"),
    ]
    run = verify(packs, LIMITS)
    assert verdicts(run) == {
        "stuck": ("failed import_hangs", False),
        "waiting": ("failed import_hangs", False),
        "good": ("verified", True),
    }
    assert hangs(run) == 2


def test_a_hang_that_tells_no_stack_is_found_all_the_same(verify: Verify, pack: MakePack) -> None:
    """The signal that asks for it is ignored: by whom ComfyUI tried last."""
    deaf = "import faulthandler, signal; faulthandler.disable(); signal.signal(signal.SIGABRT, signal.SIG_IGN)\n"
    run = verify([pack("deaf", deaf + HANGS), pack("good")], LIMITS)
    assert verdicts(run) == {"deaf": ("failed import_hangs", False), "good": ("verified", True)}


def test_a_hang_in_another_packs_code_is_tried_alone(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """The stack names two: it is not guessed. The one that only offers the code imports well, and is not blamed."""
    user = (
        "import importlib.util, pathlib\n"
        "file = pathlib.Path(__file__).parent.parent / 'offers' / 'inner.py'\n"
        "spec = importlib.util.spec_from_file_location('inner', file)\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
    )
    run = verify(
        [pack("offers", files={"inner.py": HANGS, "__init__.py": NODES % "offers"}), pack("user", user)], LIMITS
    )
    assert verdicts(run)["offers"] == ("verified", True)
    assert verdicts(run)["user"] == ("failed import_hangs", False)


def test_a_silent_import_that_works_is_no_hang(verify: Verify, pack: MakePack) -> None:
    """As one that compiles something by another program; its sister that only waits for one does hang."""
    loop = "import time\nend = time.monotonic() + 6\nwhile time.monotonic() < end: pass"
    work = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {loop!r}])"
    run = verify([pack("compiles", work), pack("stuck", HANGS)], LIMITS)
    assert verdicts(run) == {"compiles": ("verified", True), "stuck": ("failed import_hangs", False)}


def test_a_thread_that_lives_on_is_no_hang(verify: Verify, pack: MakePack) -> None:
    """ComfyUI has told its table by then: the pack is verified."""
    alive = "import threading; threading.Thread(target=threading.Event().wait).start()"
    assert verdicts(verify([pack("alive", alive)], LIMITS)) == {"alive": ("verified", True)}


def test_a_crash_is_named_by_its_stack(verify: Verify, pack: MakePack) -> None:
    """A segmentation fault of the real kind; the stack is in the pack's log."""
    crash = "import ctypes; ctypes.string_at(0)"
    run = verify([*map(pack, "abcd"), pack("crasher", crash)])
    told = verdicts(run)
    assert told["crasher"] == ("failed import_crashes", False)
    assert {told[name] for name in "abcd"} == {("verified", True)}
    assert len(starts(run)) == 5  # as for a hang, and the one alone
    assert "Segmentation fault" in (run.folder / "nodes" / "crasher.log").read_text()
