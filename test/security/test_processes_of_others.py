"""What packs' code leaves running where ComfyUI, and with it packs' code, is another user's than the login."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.runner.process import processes
from app.runner.process.user import user_of_process
from app.standin.other_user import UID
from test.owner.conftest import OtherBoxFactory, index, other_box_factory
from test.plan.box import Box
from test.runner.rig import Run
from test.support.waiting import wait_until

__all__ = ["index", "other_box_factory"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.registry,  # uv itself comes from there
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as another user"),
]
_CAPABILITIES = pytest.mark.parametrize("without", ["", "-sys_ptrace,-perfmon,-sys_admin"], ids=["all", "as in Docker"])
_DAEMON = """import os, subprocess
words = ['setsid', '-f', 'env', '-i', 'sh', '-c', 'echo $$ >> PIDS; exec sleep 600']
subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
while not os.path.getsize('PIDS'):
    pass
"""
_NODES = "NODE_CLASS_MAPPINGS = {'pack': object}\n"


@pytest.fixture
def pids() -> Iterator[Path]:
    """Where any user's daemon notes its pid. What is left at the end is killed."""
    folder = Path(tempfile.mkdtemp(prefix="nodeferry-pids-"))
    folder.chmod(0o755)
    file = folder / "pids"
    file.touch()
    file.chmod(0o666)
    yield file
    for pid in _alive(file):
        os.kill(pid, signal.SIGKILL)
    file.unlink()
    folder.rmdir()


def _alive(file: Path) -> list[int]:
    return [pid for pid in map(int, file.read_text().split()) if processes.start_time(pid) is not None]


def _pack(box: Box, pids: Path, more: str = "") -> dict[str, object]:
    code = _DAEMON.replace("PIDS", str(pids)) + more + _NODES
    return box.pack("pack", files={"__init__.py": code})


@_CAPABILITIES
def test_a_daemon_of_another_user_s_import_is_ended(
    other_box_factory: OtherBoxFactory, pids: Path, without: str
) -> None:
    """The pack itself is good."""
    box = other_box_factory(without=without)
    run = box.run_of(_pack(box, pids), options={"verify": True})
    assert run.state("pack") == "verified", run.said()
    assert pids.read_text() and not _alive(pids)
    assert "left_running" in {each.code for each in run.snapshot().warnings}


@_CAPABILITIES
def test_a_daemon_of_another_user_ends_with_a_killed_runner(
    other_box_factory: OtherBoxFactory, pids: Path, without: str
) -> None:
    """The import hangs then."""
    box = other_box_factory(without=without)
    hang = "import signal\nsignal.pause()\n"
    run: Run = box.start([_pack(box, pids, hang)], options={"verify": True})
    wait_until(lambda: _alive(pids), 60, "the daemon runs")
    assert {user.uid for user in map(user_of_process, _alive(pids)) if user} == {UID}
    run.kill_runner()
    wait_until(lambda: not _alive(pids) and not run.processes(), 15, "all is ended")
