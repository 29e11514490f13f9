"""Ending a ComfyUI that nobody supervises, and starting it again just as it was: arguments, environment, folder, owner
and log. Source: proc(5)."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from dataclasses import dataclass
from typing import Dict, List, Optional

from app.runner.comfyui.running import running_here
from app.runner.context import Context
from app.runner.machine.comfyui_processes import Process
from app.runner.process import audit, processes
from app.runner.process.user import User, user_of_process

_TERM_SECONDS = 20.0
_BY_ITSELF_SECONDS = 3.0
"""So long a wrapper script that starts ComfyUI again in a loop may take."""


@dataclass(frozen=True)
class _Call:
    """How a ComfyUI was started. `output`: the file that its output goes to, if it is one; `user`: as whom it ran."""

    program: str
    argv: List[str]
    cwd: str
    environ: Dict[str, str]
    output: Optional[str]
    user: Optional[User]


@dataclass(frozen=True)
class Relaunched:
    """How it went: `failed` says why not; `child` is the new one, None where somebody else started it."""

    failed: str = ""
    child: Optional[subprocess.Popen[bytes]] = None

    @property
    def ended(self) -> Optional[int]:
        """The status with which the new one has ended already, if it has."""
        return self.child.poll() if self.child else None


def relaunch(context: Context, old: Process) -> Relaunched:
    """Ends it and starts it again. Raises RunCancelled before the first signal only, and OSError when it cannot be
    looked at."""
    call = _call_of(old)
    context.check_cancelled()
    if not _ended(old.pid):
        return Relaunched("ComfyUI (process %d) could not be stopped." % old.pid)
    if processes.until(lambda: bool(running_here(context)), _BY_ITSELF_SECONDS):
        return Relaunched()
    try:
        return Relaunched(child=context.children.family.release(lambda: _start(call)))
    except OSError as exc:
        text = "ComfyUI was stopped and could not be started again: %s. Its command: %s"
        return Relaunched(text % (exc.strerror or exc, " ".join(call.argv)[:300]))


def _call_of(old: Process) -> _Call:
    argv = processes.arguments_of(old.pid)
    environ = {name: value for name, value in processes.environ_of(old.pid).items() if name != processes.MARK}
    cwd = processes.link_of(old.pid, "cwd")
    return _Call(old.python, argv, cwd, environ, _output_of(old.pid), user_of_process(old.pid))


def _output_of(pid: int) -> Optional[str]:
    try:
        path = processes.link_of(pid, "fd/1")
        return path if stat.S_ISREG(os.stat(path).st_mode) else None
    except OSError:
        return None


def _ended(pid: int) -> bool:
    """TERM, then KILL. Its number may be another's as soon as it is gone."""
    started = processes.start_time(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if started is None or processes.start_time(pid) != started:
            return True
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        if processes.until(lambda: processes.start_time(pid) != started, _TERM_SECONDS):
            return True
    return False


def _start(call: _Call) -> subprocess.Popen[bytes]:
    """Detached: in a session of its own, without the run's mark and descriptors, so that it outlives the run."""
    user = call.user if os.geteuid() == 0 else None
    as_user = {"user": user.uid, "group": user.gid, "extra_groups": user.groups} if user else {}
    output = _opened(call.output)
    entry = audit.begin(call.argv, call.cwd, user=user, why="start ComfyUI again")
    try:
        child: subprocess.Popen[bytes] = subprocess.Popen(
            call.argv,
            executable=call.program,
            cwd=call.cwd,
            env=call.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **as_user,  # type: ignore[call-overload]
        )
    finally:
        os.close(output)
    entry.end(how="goes on by itself")
    return child


def _opened(path: Optional[str]) -> int:
    """The log to go on with; nowhere, where it cannot be written."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path or os.devnull, flags)
    except OSError:
        return os.open(os.devnull, flags)
