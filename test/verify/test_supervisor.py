"""A ComfyUI under a real supervisord, as on vast.ai: it is restarted by supervisorctl, and looked at again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.protocol import progress_json, task_list
from app.protocol.events import StepChanged
from app.protocol.states import StepStatus
from app.runner.machine.comfyui_processes import running_comfyuis
from app.runner.process import processes
from app.runner.process.children import Children
from app.runner.restart.supervisor import restart_program, stopped
from app.standin.environment import make_environment
from app.standin.packs import Pack
from test.runner.rig import Rig, Run, node
from test.support.waiting import wait_until
from test.verify.conftest import Verify
from test.verify.test_environment import wheel

pytestmark = pytest.mark.slow

MakePack = Callable[..., Pack]
PROGRAM = "comfyui"
_CONFIG = """
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[supervisorctl]
serverurl=unix://{folder}/s.sock
[program:{program}]
command=/bin/sh {folder}/comfyui.sh
directory={ui_home}
environment=OF_ITS_OWN="1"
autorestart=true
startsecs={startsecs}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={folder}/comfyui.log
"""


class Supervised:
    """An instance whose ComfyUI is started by supervisord through a script, as images do. `before` are shell lines
    that the script runs first; `startsecs`: for so many seconds supervisord calls it STARTING."""

    def __init__(self, rig: Rig, folder: Path, before: str = "", startsecs: int = 1) -> None:
        self.rig, self.folder = rig, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        (folder / "bin").mkdir()
        (folder / "etc").mkdir()
        for name in ("supervisord", "supervisorctl"):
            program = folder / "bin" / name
            program.write_text(f"#!{sys.executable}\nfrom supervisor.{name} import main\nmain()\n")
            program.chmod(0o755)
        config = _CONFIG.format(folder=folder, ui_home=rig.ui_home, program=PROGRAM, startsecs=startsecs)
        (folder / "etc" / "supervisord.conf").write_text(config)
        start = f"venv/bin/python main.py --cpu --port {self.port}"
        (folder / "comfyui.sh").write_text(f"{before}\n{start} 2>&1 | cat\n")
        rig.environ["PATH"] = f"{folder / 'bin'}:{rig.environ['PATH']}"

    def start(self) -> None:
        """supervisord, and until ComfyUI answers."""
        self.launch()
        wait_until(lambda: "fresh" not in self.classes(), 30, "ComfyUI answers")

    def launch(self) -> None:
        """supervisord as an image starts it."""
        argv = [str(self.folder / "bin" / "supervisord"), "-n", "-s"]
        self.daemon = subprocess.Popen(argv, env=self.rig.environ, stdin=subprocess.DEVNULL, cwd=self.folder)

    def classes(self) -> set[str]:
        """What /object_info has; a pseudo name while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/object_info", timeout=30) as answer:
                return set(json.load(answer))
        except OSError:
            return {"fresh", "no answer"}

    def pid(self) -> int:
        (found,) = [process.pid for process in running_comfyuis() if process.folder == self.rig.ui_home.resolve()]
        return found

    def end(self) -> None:
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(20)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: supervisord listens on a socket in it."""
    with tempfile.TemporaryDirectory(prefix="nf-sup-") as folder:
        yield Path(folder)


@pytest.fixture
def supervised(rig: Rig, short: Path) -> Iterator[Supervised]:
    """A ComfyUI under supervisord."""
    instance = Supervised(rig, short)
    instance.start()
    yield instance
    instance.end()


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def restart_step(run: Run) -> tuple[StepStatus, str]:
    step = run.snapshot().steps[task_list.RESTART]
    return step.status, step.detail


def test_one_that_is_just_starting_is_supervisords_too(verify: Verify, pack: MakePack, rig: Rig, short: Path) -> None:
    """supervisorctl has no pid for it yet; started again by hand, it would run twice."""
    instance = Supervised(rig, short, startsecs=8)
    instance.start()
    try:
        status, detail = restart_step(verify([pack("fresh")], restart=True))
        assert status is StepStatus.SUCCESS, detail
        assert detail.startswith(f"by supervisorctl restart {PROGRAM}, in ")
        assert "fresh" in instance.classes() - {"no answer"}
    finally:
        instance.end()


def test_it_works(verify: Verify, pack: MakePack, supervised: Supervised) -> None:
    """supervisorctl restarts it: another process, supervisord's own child, that has the pack; neither the run's end nor
    a sweep ends it, and it has nothing of the run."""
    before = supervised.pid()
    run = verify([pack("fresh"), pack("bad", "1/0")], restart=True)
    status, detail = restart_step(run)
    assert status is StepStatus.SUCCESS, detail
    assert detail.startswith(f"by supervisorctl restart {PROGRAM}, in ")
    assert run.sweep()["ended_processes"] == 0
    after = supervised.pid()
    assert after != before
    assert "fresh" in supervised.classes() - {"no answer"}
    environ = Path(f"/proc/{after}/environ").read_bytes()
    assert b"OF_ITS_OWN=1" in environ and run.task_id.encode() not in environ
    held = {os.readlink(link) for link in Path(f"/proc/{after}/fd").iterdir() if link.exists()}
    assert not [path for path in held if ".lock" in path or str(supervised.rig.state) in path]
    assert (run.state("fresh"), run.snapshot().nodes["bad"].verified) == ("verified", False)
    assert "restart ComfyUI" not in progress_json.message(run.snapshot())


def test_an_image_that_installs_again_at_each_start_is_seen(
    verify: Verify, pack: MakePack, rig: Rig, short: Path, venv_cache: Path
) -> None:
    """As vast.ai's does: what the pack needed is another version afterwards, which is told by name, with what does not
    fit any more; the pack is what the restarted ComfyUI says."""
    shutil.rmtree(rig.ui_home / "venv")
    rig.environment = make_environment(rig.ui_home / "venv", with_pip=True, cache=venv_cache)
    for version in ("1.0", "2.0"):
        (short / f"thing-{version}-py3-none-any.whl").write_bytes(wheel("thing", version))
    pip = "venv/bin/python -m pip install -q --no-index --no-deps"
    supervised = Supervised(rig, short, before=f"{pip} {short}/thing-1.0-py3-none-any.whl")
    supervised.start()
    needs = "from importlib.metadata import version\nif version('thing') < '2': raise RuntimeError('thing is too old')"
    newer = f"{pip} {short}/thing-2.0-py3-none-any.whl"
    script = f"import subprocess; subprocess.run('{newer}', shell=True, cwd='{rig.ui_home}')"
    try:
        run = verify([pack("needy", needs, install_py=script), pack("fresh")], restart=True)
    finally:
        supervised.end()
    (warning,) = [told for told in run.snapshot().warnings if told.code == "changed_at_restart"]
    assert re.search(r"thing 2\.0 \(.*\) -> 1\.0 \(.*\)", warning.message)
    assert "at each start" in (warning.hint or "")
    assert run.snapshot().nodes["needy"].verified is False
    assert "thing is too old" in str(run.snapshot().nodes["needy"].error)
    assert run.state("fresh") == "verified"


def test_a_comfyui_that_came_down_is_started(rig: Rig, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none runs, supervisord's program is the image's own, and only where that image has its ComfyUI."""
    monkeypatch.setenv("PATH", f"{short / 'bin'}:{os.environ['PATH']}")
    instance = Supervised(rig, short)
    good = (short / "comfyui.sh").read_text()
    (short / "comfyui.sh").write_text("exit 1\n")
    instance.launch()
    children = Children("none", short / "groups", threading.Event())
    try:
        wait_until(lambda: stopped(children, Path("/workspace/ComfyUI")) == PROGRAM, 30, "it is given up")
        assert stopped(children, Path("/comfyui")) is None
        (short / "comfyui.sh").write_text(good)
        assert restart_program(PROGRAM, pause) == ""
        wait_until(lambda: "no answer" not in instance.classes(), 30, "ComfyUI answers")
        assert stopped(children, Path("/workspace/ComfyUI")) is None
        said = restart_program("nobody", pause)
        assert said.startswith("supervisorctl restart nobody failed: ")
    finally:
        instance.end()


def test_a_cancelled_restart_leaves_comfyui_running(rig: Rig, pack: MakePack, supervised: Supervised) -> None:
    """A restart is a stop and a start: who cancels between them finds it started all the same."""
    run = rig.start([node(pack("fresh"))], options={"verify": False, "restart": True})
    wait_until(lambda: bool(run.told(StepChanged, name=task_list.RESTART)), 30, "the restart has begun")
    run.cancel()
    run.wait()
    wait_until(lambda: "no answer" not in supervised.classes(), 30, "ComfyUI answers again")
    assert processes.marked(run.task_id) == set()
