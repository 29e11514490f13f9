"""Restarting ComfyUI, and asking the restarted one which packs it has loaded.

Under supervisord by its own command; else by ending it and starting it again with the same arguments, environment and
folder, detached. Where none runs, none is started. Sources: proc(5), supervisorctl(1), ComfyUI's server.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Optional, Sequence

from app.protocol import wire
from app.protocol.states import StepStatus
from app.runner.context import Context
from app.runner.daemon import processes
from app.runner.daemon.children import Limits
from app.runner.machine import profiles
from app.runner.machine.interpreter import Process, running_comfyuis
from app.runner.verify.comfyui import environ_of

_SUPERVISORCTL = ("/usr/bin/supervisorctl", "/usr/local/bin/supervisorctl", "/opt/supervisor/bin/supervisorctl")
_ASK = Limits(idle=30.0, total=30.0)
_COMMAND = Limits(idle=180.0, total=180.0)
_TERM_SECONDS = 20.0
_BY_ITSELF_SECONDS = 3.0
"""So long a wrapper script that starts ComfyUI again in a loop may take."""
_LOOK_SECONDS = 0.25
_ANSWER_SECONDS = 10.0
_CLASSES_SECONDS = 120.0
_CLASSES_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Restarted:
    """How the restart went. `loaded`: the entries of custom_nodes that the new ComfyUI has classes of; None when
    there is no new ComfyUI that tells."""

    done: bool
    detail: str
    loaded: Optional[FrozenSet[str]] = None


@dataclass(frozen=True)
class _Call:
    """How a ComfyUI was started, to start it just so again."""

    program: str
    argv: List[str]
    cwd: str
    environ: Dict[str, str]
    output: Optional[str]
    owner: Sequence[int]


def restart(context: Context) -> Restarted:
    """Restarts the ComfyUI of this folder and tells the step. Raises RunCancelled."""
    started = time.monotonic()
    context.step(wire.RESTART, StepStatus.RUNNING)
    try:
        result = _restart(context)
    except OSError as exc:
        result = Restarted(False, "ComfyUI could not be restarted: %s" % (exc.strerror or exc))
    seconds = round(time.monotonic() - started, 1)
    context.step(wire.RESTART, StepStatus.SUCCESS if result.done else StepStatus.FAILED, result.detail, seconds)
    if not result.done:
        context.warn("not_restarted", result.detail, "Restart ComfyUI yourself to load the packs.")
    return result


def _restart(context: Context) -> Restarted:
    old = _running(context)
    if not old:
        return Restarted(False, "No ComfyUI runs in %s; it loads the packs when you start it." % context.ui_home)
    if len(old) > 1:
        return Restarted(False, "%d ComfyUIs run in %s; none was restarted." % (len(old), context.ui_home))
    if old[0].pid == 1:
        return Restarted(False, "ComfyUI is the container's first process: restarting it would end the container.")
    program = _supervised(context, old[0].pid)
    if program:
        how = "by supervisorctl restart %s" % program
        failed = _by_supervisor(context, program)
    else:
        how = "by ending it and starting it again as it was"
        failed = _by_hand(context, old[0].pid)
    if failed:
        return Restarted(False, failed)
    return _until_up(context, old[0].pid, how)


def _running(context: Context) -> List[Process]:
    home = os.path.realpath(str(context.ui_home))
    return [process for process in running_comfyuis() if str(process.folder) == home]


# -- supervisord -----------------------------------------------------------------------------------------------------


def _supervised(context: Context, pid: int) -> Optional[str]:
    """The program of supervisord's that this process is of, if it is."""
    control = _supervisorctl()
    if control is None:
        return None
    said = context.children.run([control, "status"], cwd=Path("/"), limits=_ASK).output
    pids = {int(number): name for name, number in re.findall(r"^(\S+)\s+RUNNING\s+pid (\d+)", said, re.MULTILINE)}
    return next((pids[above] for above in _line_of(pid) if above in pids), None)


def _supervisorctl() -> Optional[str]:
    found = shutil.which("supervisorctl")
    return found or next((path for path in _SUPERVISORCTL if os.access(path, os.X_OK)), None)


def _line_of(pid: int) -> List[int]:
    """The process, its parent, and so on up."""
    line: List[int] = []
    while pid > 1 and pid not in line:
        line.append(pid)
        pid = processes.parent_of(pid) or 0
    return line


def _by_supervisor(context: Context, program: str) -> str:
    """Why it failed; empty when it did not."""
    finished = context.children.run([_supervisorctl() or "", "restart", program], cwd=Path("/"), limits=_COMMAND)
    return "" if finished.ok else "supervisorctl restart %s failed: %s" % (program, finished.last_lines(1))


# -- without one -----------------------------------------------------------------------------------------------------


def _by_hand(context: Context, pid: int) -> str:
    """Ends it and starts it again. Why that failed; empty when it did not. Raises OSError."""
    call = _call_of(context, pid)
    if not _ended(context, pid):
        return "ComfyUI (process %d) could not be ended." % pid
    if not _comes_by_itself(context):
        _start(call)
    return ""


def _call_of(context: Context, pid: int) -> _Call:
    proc = Path("/proc/%d" % pid)
    argv = (proc / "cmdline").read_bytes().rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")
    program = next(process.python for process in _running(context) if process.pid == pid)
    environ = {name: value for name, value in environ_of(pid).items() if name != processes.MARK}
    about = os.stat(str(proc))
    return _Call(program, argv, os.readlink(str(proc / "cwd")), environ, _output_of(pid), (about.st_uid, about.st_gid))


def _output_of(pid: int) -> Optional[str]:
    """The file that its output goes to, if it is one."""
    try:
        path = os.readlink("/proc/%d/fd/1" % pid)
        return path if stat.S_ISREG(os.stat(path).st_mode) else None
    except OSError:
        return None


def _ended(context: Context, pid: int) -> bool:
    """TERM, then KILL. Raises RunCancelled only before the first signal: what was ended is started again."""
    context.check_cancelled()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        if processes.until(lambda: processes.start_time(pid) is None, _TERM_SECONDS):
            return True
    return False


def _comes_by_itself(context: Context) -> bool:
    return processes.until(lambda: bool(_running(context)), _BY_ITSELF_SECONDS)


def _start(call: _Call) -> None:
    """Detached: in a session of its own, without the run's mark and descriptors, so that it outlives the run."""
    owner = {"user": call.owner[0], "group": call.owner[1]} if os.geteuid() == 0 and call.owner[0] != 0 else {}
    output = os.open(call.output or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        subprocess.Popen(
            call.argv,
            executable=call.program,
            cwd=call.cwd,
            env=call.environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **owner,  # type: ignore[call-overload]
        )
    finally:
        os.close(output)


# -- what the new one says -------------------------------------------------------------------------------------------


def _until_up(context: Context, old: int, how: str) -> Restarted:
    """Until the new ComfyUI answers, and then which packs it has."""
    started = time.monotonic()
    while time.monotonic() - started < context.tuning.restart:
        context.pause(_LOOK_SECONDS)
        new = [process for process in _running(context) if process.pid != old]
        if not new:
            continue
        address = address_of(_argv_of(new[-1].pid))
        if _asked(address + "/system_stats", _ANSWER_SECONDS) is not None:
            loaded = packs_in(_asked(address + "/object_info", _CLASSES_SECONDS))
            return Restarted(True, "%s, in %d s" % (how, round(time.monotonic() - started)), loaded)
    log = next((path for path in profiles.logs() if os.path.exists(path)), "")
    text = "ComfyUI was restarted %s, and does not answer after %g s" % (how, context.tuning.restart)
    return Restarted(False, text + ("; its log is %s" % log if log else ""))


def _argv_of(pid: int) -> List[str]:
    try:
        return Path("/proc/%d/cmdline" % pid).read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return []


def address_of(argv: Sequence[str]) -> str:
    """Where a ComfyUI with these arguments answers on its own machine."""
    port, host = "8188", "127.0.0.1"
    for word, after in zip(argv, [*argv[1:], ""]):
        if word == "--port" and after.isdigit():
            port = after
        elif word.startswith("--port=") and word[7:].isdigit():
            port = word[7:]
        elif word == "--listen" and re.match(r"^[0-9.]+$", after) and after != "0.0.0.0":  # noqa: S104 - only looked at
            host = after.split(",")[0]
    return "http://%s:%s" % (host, port)


def _asked(address: str, seconds: float) -> Optional[Any]:
    """The JSON at an address on this machine; None when there is none (yet)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=seconds) as answer:
            return json.loads(answer.read(_CLASSES_BYTES))
    except (OSError, ValueError):
        return None


def packs_in(object_info: Any) -> Optional[FrozenSet[str]]:
    """The entries of custom_nodes that have classes in `/object_info`; None when it says nothing of where they are
    from."""
    if not isinstance(object_info, dict):
        return None
    modules = [str(about.get("python_module", "")) for about in object_info.values() if isinstance(about, dict)]
    return frozenset(module.partition(".")[2] for module in modules if module.startswith("custom_nodes."))
