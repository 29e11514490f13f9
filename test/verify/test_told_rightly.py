"""What the import check says of packs that meet the machine: prestartup scripts, ports, other packs, stray folders."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.protocol import counts
from app.protocol.snapshot import Problem
from app.standin.packs import Pack
from test.runner.rig import Rig, Run
from test.support.running_comfyui import answers
from test.support.waiting import wait_until
from test.verify.conftest import NODES, Verify

pytestmark = pytest.mark.slow
MakePack = Callable[..., Pack]


def error_of(run: Run, name: str) -> Problem:
    error = run.snapshot().nodes[name].error
    assert error is not None
    return error


def test_prestartup_scripts_other_packs_and_stray_folders(verify: Verify, pack: MakePack, rig: Rig) -> None:
    """One run: a failed prestartup is a problem of a pack that loads; a module of another pack is named as that; a
    folder that is no pack is told."""
    (rig.custom_nodes / "models" / "checkpoints").mkdir(parents=True)
    makes = "import os\nos.makedirs('../downloads', exist_ok=True)\n"
    git_at_import = "import subprocess\nsubprocess.run(['git', 'rev-parse', '--verify', 'no-such'], check=True)"
    run = verify(
        [
            pack("early", files={"prestartup_script.py": "import no_such_thing\n"}),
            pack("fine", files={"prestartup_script.py": "x = 1\n"}),
            pack("both", "import no_such_thing", files={"prestartup_script.py": "raise OSError('no room')\n"}),
            pack("needs-subpack", "from impact.subpack_nodes import x"),
            pack("base", files={"modules/other/part.py": "", "modules/other/__init__.py": ""}),
            pack("needs-base", "import other.part"),
            pack("needs-named", "import custom_nodes.Some_Pack.thing"),
            pack("makes", install_py=makes),
            pack("gits", git_at_import),
        ]
    )
    nodes = run.snapshot().nodes
    assert (nodes["early"].verified, nodes["early"].state) == (True, "verified")
    assert counts.standing(run.snapshot(), nodes["early"]) is counts.Standing.PROBLEM
    assert error_of(run, "early").code == "prestartup_failed"
    assert "No module named 'no_such_thing'" in error_of(run, "early").message
    assert nodes["fine"].error is None
    assert nodes["both"].state == "failed"
    assert "prestartup_script.py fails at ComfyUI's start. (no room)" in error_of(run, "both").message
    assert error_of(run, "needs-subpack").code == "module_of_other_pack"
    assert "ComfyUI-Impact-Subpack, which is not installed" in error_of(run, "needs-subpack").message
    assert "https://github.com/ltdrdata/ComfyUI-Impact-Subpack" in error_of(run, "needs-subpack").hint
    assert "part of another pack, base, which is there" in error_of(run, "needs-base").message
    assert "part of another pack, Some_Pack" in error_of(run, "needs-named").message
    assert "fatal: not a git repository" in error_of(run, "gits").message
    strays = [warning.message for warning in run.snapshot().warnings if warning.code == "stray_folder"]
    assert strays == ["The install.py of makes made custom_nodes/downloads.", "No pack owns custom_nodes/models."]


@contextmanager
def running(rig: Rig, port: int) -> Iterator[None]:
    """This machine's ComfyUI, as somebody started it."""
    assert rig.environment is not None
    argv = [str(rig.environment.python), "main.py", "--cpu", "--port", str(port)]
    child = subprocess.Popen(argv, cwd=rig.ui_home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, "ComfyUI answers")
        yield
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def listening(port: int) -> str:
    return f"import socket\nPORT = {port}\nkept = socket.create_server(('127.0.0.1', PORT))"


def test_a_port_that_the_running_comfyui_holds_says_nothing_of_the_pack(
    verify: Verify, pack: MakePack, rig: Rig
) -> None:
    """It has loaded the pack as it was. A port of another program, and one that two packs want, are their trouble."""
    mine, both = free_port(), free_port()
    held = pack("held", listening(mine))
    (rig.custom_nodes / "old").mkdir()
    (rig.custom_nodes / "old" / "__init__.py").write_text(f"{listening(mine)}\n{NODES % 'old'}")
    with running(rig, free_port()), socket.create_server(("127.0.0.1", 0)) as other:
        taken = int(other.getsockname()[1])
        (rig.custom_nodes / "old" / "__init__.py").write_text(NODES % "old")  # the new version does not listen
        run = verify(
            [held, pack("taken", listening(taken)), pack("a-first", listening(both)), pack("b-second", listening(both))]
        )
    nodes = run.snapshot().nodes
    assert (run.state("held"), nodes["held"].verified) == ("installed port_of_comfyui", None)
    assert f"port {mine}, which the ComfyUI that runs holds" in error_of(run, "held").message
    assert (run.state("taken"), nodes["taken"].verified) == ("failed port_in_use", False)
    assert f"port {taken}, which is taken: " in error_of(run, "taken").message
    assert sorted([str(nodes["a-first"].verified), str(nodes["b-second"].verified)]) == ["False", "True"]
