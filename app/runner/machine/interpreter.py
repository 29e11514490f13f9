"""Finding ComfyUI's interpreter, with proof: it prints its prefix and its packages, and imports torch.

Nothing is sourced or activated; every path is absolute. Candidates and their order: docs/runner.md.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from app.runner.machine import profiles
from app.runner.process.errors import RunFault

PROOF_SECONDS = 120.0
_MARK = "NODEFERRY_PROOF "
_SCRIPT = r"""
import json, os, sys, sysconfig
try:
    from importlib import metadata
except ImportError:
    metadata = None
proof = {"executable": sys.executable, "prefix": sys.prefix, "base_prefix": sys.base_prefix,
         "version": "%d.%d.%d" % sys.version_info[:3], "packages": {}, "torch": None, "torch_error": None,
         "paths": sys.path}
for dist in metadata.distributions() if metadata else ():
    name = dist.metadata["Name"]
    if name and name not in proof["packages"]:
        proof["packages"][name] = dist.version
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
proof["externally_managed"] = sys.prefix == sys.base_prefix and os.path.exists(marker)
config = os.path.join(sys.prefix, "pyvenv.cfg")
text = open(config).read().lower() if os.path.exists(config) else ""
proof["system_site"] = "include-system-site-packages = true" in text
if "--torch" in sys.argv:
    try:
        import torch
        proof["torch"] = {"version": str(torch.__version__), "cuda": getattr(torch.version, "cuda", None),
                          "cuda_available": bool(torch.cuda.is_available())}
    except BaseException as exc:
        proof["torch_error"] = "%s: %s" % (type(exc).__name__, exc)
print("\n" + sys.argv[1] + json.dumps(proof))
"""


@dataclass(frozen=True)
class Process:
    """A running ComfyUI: its interpreter as it was called, and the folder of its main.py."""

    pid: int
    python: str
    folder: Path


def running_comfyuis() -> List[Process]:
    """The ComfyUIs that run on this machine and that this user may look at."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = _comfyui_of(int(name))
            if process:
                found.append(process)
    return found


def _comfyui_of(pid: int) -> Optional[Process]:
    """argv[0] is the venv's python; /proc/PID/exe would be the base python's."""
    try:
        argv = Path("/proc/%d/cmdline" % pid).read_bytes().decode("utf-8", "surrogateescape").split("\0")
        cwd = os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        return None
    scripts = [arg for arg in argv[1:4] if os.path.basename(arg) == "main.py"]
    if not scripts or "python" not in os.path.basename(argv[0]):
        return None
    folder = Path(os.path.realpath(os.path.join(cwd, os.path.dirname(scripts[0]))))
    if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        return None
    return Process(pid, _absolute(argv[0], cwd, pid), folder)


def _absolute(program: str, cwd: str, pid: int) -> str:
    if "/" in program:
        return os.path.normpath(os.path.join(cwd, program))
    try:
        environ = Path("/proc/%d/environ" % pid).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        environ = ""
    path = next((part[5:] for part in environ.split("\0") if part.startswith("PATH=")), "/usr/local/bin:/usr/bin:/bin")
    for folder in path.split(":"):
        if os.access(os.path.join(folder, program), os.X_OK):
            return os.path.join(folder, program)
    return "/proc/%d/exe" % pid


Execute = Callable[[List[str], float], str]
"""Runs a program for some seconds at most and gives what it wrote. Raises OSError when it does not run or takes
longer."""


def execute(argv: List[str], seconds: float) -> str:
    """Runs a program outside of a run."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, cwd="/", env=environ, check=False
        )
    except subprocess.TimeoutExpired:
        raise too_long(seconds) from None
    return done.stdout.decode("utf-8", "replace")


def too_long(seconds: float) -> OSError:
    """A program did not end in time."""
    return OSError(errno.ETIMEDOUT, "it did not finish within %d seconds" % seconds)


def find_interpreter(ui_home: Path, venv_path: Optional[str], run: Execute = execute) -> Dict[str, Any]:
    """The proof of the interpreter to use. Raises RunFault `interpreter_not_found` naming what was tried."""
    if venv_path:
        path = _of_venv(venv_path)
        proof, why = prove(path, run, torch=True)
        if proof:
            return proof
        raise RunFault(
            "interpreter_not_found",
            "venv_path %s is not a working Python: %s" % (path, why),
            "Give the folder of ComfyUI's virtual environment.",
        )
    tried, without_torch = [], None
    for path in candidates(ui_home):
        proof, why = prove(path, run, torch=True)
        if proof and (proof["torch"] or "torch" in proof["packages"]):
            return proof
        without_torch = without_torch or proof
        tried.append("%s (%s)" % (path, why or "no torch"))
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


def _of_venv(venv_path: str) -> str:
    path = Path(venv_path)
    return str(path / "bin" / "python") if path.is_dir() else str(path)


def prove(python: str, run: Execute = execute, *, torch: bool = False) -> Tuple[Optional[Dict[str, Any]], str]:
    """What the interpreter says of itself (None if it does not run), and why not."""
    try:
        output = run([python, "-c", _SCRIPT, _MARK] + (["--torch"] if torch else []), PROOF_SECONDS)
    except OSError as exc:
        return None, exc.strerror or str(exc)
    proof = _proof_in(output)
    if proof is None:
        return None, "it does not run Python code"
    proof["executable"] = python  # as called: a venv's own name, not what it links to
    return proof, ""


def _proof_in(output: str) -> Optional[Dict[str, Any]]:
    """The proof, wherever it stands: what is imported may print, before and after and in the same line."""
    at = output.find(_MARK)
    while at >= 0:
        try:
            proof, _ = json.JSONDecoder().raw_decode(output, at + len(_MARK))
        except ValueError:
            proof = None
        if isinstance(proof, dict):
            return proof
        at = output.find(_MARK, at + 1)
    return None


def describe(proof: Dict[str, Any]) -> str:
    """The proof in a line."""
    torch = proof["torch"]["version"] if proof["torch"] else proof["packages"].get("torch")
    return "%s, Python %s, %s" % (proof["executable"], proof["version"], "torch %s" % torch if torch else "no torch")
