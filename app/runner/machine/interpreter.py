"""Finding ComfyUI's interpreter, with proof: it says what it sees, and imports torch.

Nothing is sourced or activated; every path is absolute. Candidates and their order: docs/runner.md.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect
from app.runner.machine import profiles
from app.runner.process.errors import RunFault
from app.runner.process.execute import Execute, execute
from app.runner.process.processes import arguments_of, environ_of, link_of, pids


@dataclass(frozen=True)
class Process:
    """A running ComfyUI: its interpreter as it was called, and the folder of its main.py."""

    pid: int
    python: str
    folder: Path


def running_comfyuis() -> List[Process]:
    """The ComfyUIs that run on this machine and that this user may look at."""
    return [found for found in map(_comfyui_of, pids()) if found]


def _comfyui_of(pid: int) -> Optional[Process]:
    """argv[0] is the venv's python; /proc/PID/exe would be the base python's."""
    argv = arguments_of(pid)
    scripts = [arg for arg in argv[1:4] if os.path.basename(arg) == "main.py"]
    if not scripts or "python" not in os.path.basename(argv[0]):
        return None
    try:
        cwd = link_of(pid, "cwd")
    except OSError:
        return None
    folder = Path(os.path.realpath(os.path.join(cwd, os.path.dirname(scripts[0]))))
    if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        return None
    return Process(pid, _absolute(argv[0], cwd, pid), folder)


def _absolute(program: str, cwd: str, pid: int) -> str:
    if "/" in program:
        return os.path.normpath(os.path.join(cwd, program))
    for folder in environ_of(pid).get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":"):
        if os.access(os.path.join(folder, program), os.X_OK):
            return os.path.join(folder, program)
    return "/proc/%d/exe" % pid


def find_interpreter(ui_home: Path, venv_path: Optional[str], run: Execute = execute) -> Environment:
    """The environment of the interpreter to use. Raises RunFault `interpreter_not_found` naming what was tried."""
    if venv_path:
        path = str(Path(venv_path) / "bin" / "python") if Path(venv_path).is_dir() else venv_path
        try:
            return inspect(path, run, torch=True)
        except OSError as exc:
            text = "venv_path %s is not a working Python: %s" % (path, exc.strerror or exc)
            hint = "Give the folder of ComfyUI's virtual environment."
            raise RunFault("interpreter_not_found", text, hint) from None
    tried, without_torch = [], None
    for path in candidates(ui_home):
        try:
            found = inspect(path, run, torch=True)
        except OSError as exc:
            tried.append("%s (%s)" % (path, exc.strerror or exc))
            continue
        if found.torch_version:
            return found
        without_torch = without_torch or found
        tried.append("%s (no torch)" % path)
    if without_torch:
        return without_torch
    text = "ComfyUI's Python was not found (tried: %s)." % (", ".join(tried) or "nothing, there is none")
    raise RunFault("interpreter_not_found", text, "Give the folder of its virtual environment as venv_path.")


def candidates(ui_home: Path) -> List[str]:
    """Interpreters that exist, the likeliest first."""
    home = os.path.realpath(str(ui_home))
    paths = [process.python for process in running_comfyuis() if str(process.folder) == home]
    for folder in (Path(ui_home), Path(ui_home).parent):
        paths += [str(folder / name / "bin" / "python") for name in profiles.NEXT_TO_COMFYUI]
    for pattern in profiles.interpreters():
        paths += sorted(glob.glob(pattern))
    paths += ["/usr/local/bin/python3", "/usr/bin/python3"]
    return [path for number, path in enumerate(paths) if os.access(path, os.X_OK) and path not in paths[:number]]
