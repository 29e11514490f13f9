"""The ComfyUIs that run on this machine: which of them this login can reach, and how each was started.

Only one in this login's reach counts: it sees the same files as we do (a container that root of the host sees in /proc
does not), its folder is still there, and its process may be looked into. Sources: proc(5), python(1).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from app.runner.machine.launch_options import QUICK_TEST, LaunchOptions, launch_options
from app.runner.process.processes import arguments_of, environ_of, file_ids_of, link_of, parent_of, pids
from app.runner.process.user import user_of_process

_MAIN = "main.py"
_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")
"""Python's own options whose value is a word of its own."""
_NO_SCRIPT = ("-m", "-c")
_DEEPEST = 64
_OTHERS_MOST = 20
_USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Process:
    """A running ComfyUI: its interpreter as it was called, the folder of its main.py, the words behind main.py, and the
    folder that relative paths among them start from."""

    pid: int
    python: str
    folder: Path
    arguments: Tuple[str, ...] = ()
    cwd: str = "/"

    @property
    def options(self) -> LaunchOptions:
        """What its command line says about packs."""
        return launch_options(self.arguments, self.cwd)

    def __str__(self) -> str:
        user = user_of_process(self.pid)
        return "process %d%s" % (self.pid, " of %s" % user if user else "")


@dataclass(frozen=True)
class OutOfReach:
    """A ComfyUI that does not count. `why`: in words that go on with “it”."""

    pid: int
    folder: str
    why: str

    def __str__(self) -> str:
        return "process %d%s: it %s" % (self.pid, " in %.200s" % self.folder if self.folder else "", self.why)


@dataclass(frozen=True)
class Seen:
    """The ComfyUIs of one look through /proc."""

    running: Tuple[Process, ...] = ()
    out_of_reach: Tuple[OutOfReach, ...] = ()


def running_comfyuis() -> List[Process]:
    """The ComfyUIs that run on this machine, in this login's reach."""
    return list(look().running)


def running_in(ui_home: Path) -> List[Process]:
    """Those of this folder, links resolved."""
    home = os.path.realpath(str(ui_home))
    return [process for process in running_comfyuis() if str(process.folder) == home]


def look() -> Seen:
    """One look through /proc. A process that a ComfyUI forked has its command line, and is none of its own."""
    found: Dict[int, Process] = {}
    others: List[OutOfReach] = []
    for pid in pids():
        one = _comfyui_of(pid)
        if isinstance(one, Process):
            found[pid] = one
        elif one is not None and len(others) < _OTHERS_MOST:
            others.append(one)
    return Seen(tuple(each for each in found.values() if not _is_forked(each, found)), tuple(others))


def script_at(argv: Sequence[str]) -> Optional[int]:
    """Where in a Python's command line its script is main.py; None where it is not, or where this is no Python. An
    editor, a test run or another program may have main.py among its arguments."""
    if not argv or not os.path.basename(argv[0]).startswith(("python", "pypy")):
        return None
    number = 1
    while number < len(argv) and argv[number].startswith("-"):
        if argv[number].startswith(_NO_SCRIPT):
            return None
        number += 2 if argv[number] in _WITH_VALUE else 1
    return number if number < len(argv) and os.path.basename(argv[number]) == _MAIN else None


def _comfyui_of(pid: int) -> Union[Process, OutOfReach, None]:
    argv = arguments_of(pid)
    at = script_at(argv)
    if at is None or QUICK_TEST in argv[at:] or "--help" in argv[at:]:
        return None
    try:
        cwd = link_of(pid, "cwd")
        same = _sees_our_files(pid, cwd)
    except OSError:
        return _unreadable(pid, argv[at])
    folder = Path(os.path.dirname(os.path.realpath(os.path.join(cwd, argv[at]))))
    if not same:
        why = "runs in a folder that was removed" if cwd.endswith(" (deleted)") else "runs in another container"
        return OutOfReach(pid, str(folder), why) if _has_comfyui_words(argv[at + 1 :]) else None
    if not is_comfyui(folder):
        return None
    return Process(pid, _python_of(pid, argv[0], cwd), folder, tuple(argv[at + 1 :]), cwd)


def is_comfyui(folder: Path) -> bool:
    """Whether ComfyUI itself is in this folder: other programs have a main.py too."""
    return (folder / _MAIN).is_file() and (folder / "comfy").is_dir()


def _unreadable(pid: int, script: str) -> Optional[OutOfReach]:
    folder = os.path.dirname(script) if os.path.isabs(script) else ""
    user = user_of_process(pid)
    if user is None or user.uid == os.geteuid():
        return None  # it has just ended
    known = folder and is_comfyui(Path(folder))
    if not known and not _has_comfyui_words(arguments_of(pid)):
        return None
    return OutOfReach(pid, folder, "belongs to %s, and this login may not look into it" % user)


def _has_comfyui_words(words: Sequence[str]) -> bool:
    """Whether the command line looks like a ComfyUI's, where its folder cannot be looked into."""
    names = [word.partition("=")[0] for word in words]
    return any(name in ("--listen", "--port", "--base-directory", "--disable-auto-launch") for name in names)


def _sees_our_files(pid: int, cwd: str) -> bool:
    """Whether its root and its folder are the ones that have these names here. One in another mount namespace may do:
    systemd gives a service its own /tmp. Raises OSError."""
    root, folder = file_ids_of(pid, ("root", "cwd"))
    try:
        here = os.stat(cwd)
    except OSError:
        return False
    top = os.stat("/")
    return root == (top.st_dev, top.st_ino) and folder == (here.st_dev, here.st_ino)


def _is_forked(process: Process, found: Dict[int, Process]) -> bool:
    above = parent_of(process.pid)
    for _ in range(_DEEPEST):
        if not above or above == 1:
            return False
        parent = found.get(above)
        if parent and (parent.folder, parent.arguments) == (process.folder, process.arguments):
            return True
        above = parent_of(above)
    return False


def _python_of(pid: int, called: str, cwd: str) -> str:
    """argv[0] is the venv's python; /proc/PID/exe would be the base python's. Where argv[0] leads to another program
    than the one that runs (a wrapper renamed it, PATH is another now), the environment that was active says more."""
    environ = environ_of(pid)
    choices = [_called(called, cwd, environ.get("PATH") or _USUAL_PATH)]
    active = [environ.get(name, "") for name in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    choices += [os.path.join(folder, "bin", "python") for folder in active if folder]
    present = [path for path in choices if path and os.access(path, os.X_OK)]
    try:
        runs = file_ids_of(pid, ("exe",))[0]
    except OSError:
        return present[0] if present else "/proc/%d/exe" % pid
    for path in present:
        about = os.stat(path)
        if (about.st_dev, about.st_ino) == runs:
            return path
    return present[0] if present else "/proc/%d/exe" % pid


def _called(program: str, cwd: str, path: str) -> str:
    if "/" in program:
        return os.path.normpath(os.path.join(cwd, program))
    paths = (os.path.join(folder, program) for folder in path.split(":") if folder)
    return next((each for each in paths if os.access(each, os.X_OK)), "")
