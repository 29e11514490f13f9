"""supervisord, where it runs ComfyUI: asked by supervisorctl. Source: supervisorctl(1)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

from app.runner.machine import profiles
from app.runner.process import audit, processes
from app.runner.process.children import Children, Limits

_USUAL_PATHS = ("/usr/bin/supervisorctl", "/usr/local/bin/supervisorctl", "/opt/supervisor/bin/supervisorctl")
_ASK = Limits(idle=30.0, total=30.0)
_RESTART_SECONDS = 180.0
_LOOK_SECONDS = 0.1
_STARTING_SECONDS = 60.0
_STARTING = re.compile(r"^\S+\s+STARTING\b", re.MULTILINE)
_RUNNING = re.compile(r"^(\S+)\s+RUNNING\s+pid (\d+)", re.MULTILINE)

_STOPPED = re.compile(r"^(\S+)\s+(?:STOPPED|FATAL|EXITED|BACKOFF)\b", re.MULTILINE)

Release = Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes]"]
"""Starts what outlives the run."""


def supervised(children: Children, pid: int, pause: Callable[[float], None]) -> Optional[str]:
    """The program of supervisord's that this process, or one above it, is; None if none is. One that is just starting
    has no pid in supervisorctl's words: `pause` waits until it has. Raises RunCancelled."""
    deadline = time.monotonic() + _STARTING_SECONDS
    while True:
        said = _status(children)
        pids: Dict[int, str] = {int(number): name for name, number in _RUNNING.findall(said)}
        program = next((pids[above] for above in _line_of(pid) if above in pids), None)
        if program or not _STARTING.search(said) or time.monotonic() > deadline:
            return program
        pause(_LOOK_SECONDS)


def stopped(children: Children, ui_home: Path) -> Optional[str]:
    """The program that images with a ComfyUI in this place have for it, where supervisord has it and it does not run:
    it came down, or was stopped. Raises RunCancelled."""
    usual = profiles.programs(str(ui_home))
    return next((name for name in _STOPPED.findall(_status(children)) if name in usual), None)


def _status(children: Children) -> str:
    control = _supervisorctl()
    return children.run([control, "status"], cwd=Path("/"), limits=_ASK).output if control else ""


def restart_program(program: str, pause: Callable[[float], None], release: Release = lambda begin: begin()) -> str:
    """Restarts it. Why that failed; empty when it did not. `pause` waits, and raises when the run is cancelled: then
    supervisorctl goes on by itself, since a restart cut between its stop and its start would leave ComfyUI down."""
    with tempfile.TemporaryFile() as said:
        argv = [_supervisorctl() or "", "restart", program]
        entry = audit.begin(argv, why="restart ComfyUI")
        child = release(  # the run's own children end with it
            lambda: subprocess.Popen(
                argv,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
        deadline = time.monotonic() + _RESTART_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            pause(_LOOK_SECONDS)
        entry.end(child.returncode)
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip().splitlines()
    if child.returncode == 0:
        return ""
    how = "failed" if child.returncode else "did not finish within %g seconds" % _RESTART_SECONDS
    return "supervisorctl restart %s %s: %s" % (program, how, words[-1][:300] if words else "it printed nothing")


def _supervisorctl() -> Optional[str]:
    found = shutil.which("supervisorctl")
    return found or next((path for path in _USUAL_PATHS if os.access(path, os.X_OK)), None)


def _line_of(pid: int) -> List[int]:
    """The process, its parent, and so on up."""
    line: List[int] = []
    while pid > 1 and pid not in line:
        line.append(pid)
        pid = processes.parent_of(pid) or 0
    return line
