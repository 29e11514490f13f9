"""install.py of packs: run in the pack's folder by ComfyUI's interpreter, with nobody there to answer it."""

from __future__ import annotations

import os

import pytest

from app.protocol.events import RunEnded, ScriptChanged
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.runner.conftest import RigFactory
from test.runner.rig import QUICK, Rig, node

pytestmark = pytest.mark.slow

WHERE = """import os, sys
with open("ran.txt", "w") as file:
    file.write("%s\\n%s\\n%s\\n%s" % (sys.executable, os.getcwd(), sys.stdin.read(), os.environ["DEBIAN_FRONTEND"]))
"""
FAILING = "import sys\nprint('first')\nsys.exit('there is no compiler')\n"
PROMPTING = "answer = input('Overwrite everything? [y/N] ')\n"
HANGING = "import time\nprint('waiting', flush=True)\ntime.sleep(600)\n"
CHATTY = "import time\nwhile True:\n    print('.', flush=True)\n    time.sleep(0.05)\n"
FLOOD = "import sys\nfor number in range(400):\n    sys.stdout.write('x' * 100_000)\n"


def test_each_script_has_its_own_end(rig: Rig, git_server: GitServer) -> None:
    """Success, failure, a prompt (which gets the end of its input), silence, no end: each is told apart, all others go
    on."""
    scripts = {"good": WHERE, "failing": FAILING, "prompting": PROMPTING, "hanging": HANGING, "endless": CHATTY}
    packs = [make_pack(git_server, "o", name, install_py=text) for name, text in scripts.items()]
    run = rig.install([node(pack) for pack in packs], limits={**QUICK, "script_idle": 1.0, "script_total": 3.0})
    told = {name: (run.state(name), str(run.snapshot().nodes[name].script)) for name in scripts}
    assert told == {
        "good": ("installed", "success"),
        "failing": ("failed script_failed", "failed"),
        "prompting": ("failed script_asked", "failed"),
        "hanging": ("failed script_stalled", "failed"),
        "endless": ("failed script_timed_out", "failed"),
    }
    errors = {name: shown.error.message for name, shown in run.snapshot().nodes.items() if shown.error}
    assert "there is no compiler" in errors["failing"]
    assert "EOFError" in errors["prompting"]
    assert "idle" in errors["hanging"]
    assert "total" in errors["endless"]
    ran = (rig.custom_nodes / "good" / "ran.txt").read_text().split("\n")
    assert ran == [str(rig.ui_home / "venv/bin/python"), str(rig.custom_nodes / "good"), "", "noninteractive"]
    logs = {name: (run.folder / "nodes" / f"{name}.log").read_text() for name in scripts if name != "good"}
    assert "first" in logs["failing"] and "there is no compiler" in logs["failing"]
    assert "Overwrite everything?" in logs["prompting"] and "EOFError" in logs["prompting"]
    assert "waiting" in logs["hanging"]
    assert logs["endless"].count(".") > 10


def test_a_download_that_goes_on_is_not_silent(rig: Rig, git_server: GitServer) -> None:
    """A bar that is redrawn with carriage returns, longer than the idle limit."""
    bar = "import sys, threading\nfor n in range(15):\n    sys.stderr.write('\\r%d%%' % n); sys.stderr.flush()\n"
    bar += "    threading.Event().wait(0.1)\n"
    run = rig.install([node(make_pack(git_server, "o", "p", install_py=bar))], limits={**QUICK, "script_idle": 0.8})
    assert run.state("p") == "installed"


def test_scripts_run_in_the_lists_order(rig: Rig, git_server: GitServer) -> None:
    """One after the other."""
    text = "import os, time\nopen(os.path.expanduser('~/order'), 'a').write(os.path.basename(os.getcwd()) + ' ')\n"
    packs = [make_pack(git_server, "o", name, install_py=text) for name in ("c", "a", "b")]
    rig.install([node(pack) for pack in packs])
    assert (rig.home / "order").read_text() == "c a b "


def test_no_script_runs_unless_wanted(rig: Rig, git_server: GitServer) -> None:
    """With run_scripts false the pack is installed as it came."""
    run = rig.install([node(make_pack(git_server, "o", "pack", install_py=WHERE))], options={"run_scripts": False})
    assert run.state("pack") == "installed"
    assert not (rig.custom_nodes / "pack" / "ran.txt").exists()
    assert not run.told(ScriptChanged)


def test_a_script_that_prints_without_end_fills_neither_memory_nor_disk(rig: Rig, git_server: GitServer) -> None:
    """40 MB of output: the log is cut, the run goes on."""
    run = rig.install([node(make_pack(git_server, "o", "pack", install_py=FLOOD))])
    assert run.state("pack") == "installed"
    log = (run.folder / "nodes" / "pack.log").read_bytes()
    assert len(log) < 17 * 1024 * 1024
    assert b"there was too much" in log[-100:]


def test_without_an_interpreter_a_script_fails_and_a_plain_pack_does_not(
    rig_factory: RigFactory, git_server: GitServer
) -> None:
    """Clones need none; the reason is the interpreter's."""
    rig = rig_factory(venv=False)
    scripted, plain = make_pack(git_server, "o", "scripted", install_py=WHERE), make_pack(git_server, "o", "plain")
    run = rig.install([node(scripted), node(plain)], venv_path="/nowhere/venv")
    assert run.state("scripted") == "failed interpreter_not_found"
    assert run.state("plain") == "installed"


def test_an_interpreter_that_went_missing_is_told(rig: Rig, git_server: GitServer) -> None:
    """The first script takes ComfyUI's interpreter away. Packs are told as they are, and the run is no success."""
    gone = "import os\nos.remove(os.path.join(os.path.dirname(__import__('sys').executable), 'python'))\n"
    first, second = (make_pack(git_server, "o", name, install_py=text) for name, text in (("a", gone), ("b", WHERE)))
    run = rig.install([node(first), node(second)])
    assert run.state("a").startswith(("installed", "failed"))
    assert run.state("b") == "failed system_error"
    assert run.told(RunEnded, state="failed")
    error = run.snapshot().error
    assert error is not None
    assert (error.code, error.message.startswith("ComfyUI's Python does not run any more")) == ("packages_lost", True)
    assert os.path.lexists(rig.custom_nodes / "b")
