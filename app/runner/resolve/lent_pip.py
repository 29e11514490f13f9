"""A pip and a uv for packs' own code, where ComfyUI's Python has none (`uv venv` makes such environments).

They lie in a folder of the run, which children find by PYTHONPATH and PATH, and which goes with the run: nothing of it
is in the environment. pip comes from Python's own copy (ensurepip), which needs no network, else from the index.
"""

from __future__ import annotations

import logging
import os
import shlex
import stat
import threading
from pathlib import Path
from typing import Dict, List, Mapping, Optional

from app.runner.context import Context
from app.runner.process.children import Limits
from app.runner.process.execute import Execute, base_environ
from app.runner.process.temporary_files import let_others_in
from app.runner.resolve.fetched_tools import PIP, is_refused
from app.runner.resolve.python_and_uv import UvOnDemand

_log = logging.getLogger("runner")
_LIMITS = Limits(idle=60.0, total=180.0)
_FIND_SECONDS = 30.0
_FIND = """
import glob, os, sysconfig
places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
try:
    import ensurepip
    places.insert(1, os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
except ImportError:
    pass
found = [path for place in places if place for path in sorted(glob.glob(os.path.join(place, "pip-*-py3-none-any.whl")))]
print("pip=" + found[-1] if found else "none")
"""
_UV_MODULE = """import os
import sys


def find_uv_bin():
    return %r


if __name__ == "__main__":
    if sys.prefix != sys.base_prefix:
        os.environ.setdefault("VIRTUAL_ENV", sys.prefix)
    os.execv(find_uv_bin(), ["uv", *sys.argv[1:]])
"""
_PIP_MODULE = """import os as _os

_FROM = %r
_used = _os.path.join(_os.path.dirname(_os.path.dirname(_os.path.abspath(__file__))), "used", "pip")
try:
    open(_used, "a").close()
except OSError:
    pass
__path__ = [_os.path.join(_FROM, "pip")]
__file__ = _os.path.join(_FROM, "pip", "__init__.py")
if _os.path.isdir(_FROM):
    with open(__file__, encoding="utf-8") as _code:
        exec(_code.read())
else:
    import zipimport as _zipimport

    exec(_zipimport.zipimporter(_FROM).get_source("pip"))
"""


class LentPip:
    """One run's. Used by the thread that runs scripts and the one that checks imports."""

    def __init__(self, context: Context, run: Execute, uv: UvOnDemand) -> None:
        """`uv`: the run's. It is looked for only where no pip can be had without it: that takes seconds."""
        self._context = context
        self._run = run
        self._uv = uv
        self._lock = threading.Lock()
        self._made: Optional[bool] = None
        self._pip = ""
        """The wheel, or the folder, that it lies in."""
        self.withheld = False
        """Nobody gets it: packs are seen as they will be without."""

    def environ(self, given: Mapping[str, str]) -> Dict[str, str]:
        """Variables for a program that runs packs' code; none where the environment has a pip. `given`: those that the
        program gets besides the run's own. Raises RunCancelled."""
        if self.withheld or "pip" in self._context.packages or not self._lent():
            return {}
        paths = [path for path in [given.get("PYTHONPATH", ""), str(self._folder), self._pip] if path]
        path = given.get("PATH") or base_environ()["PATH"]
        return {"PYTHONPATH": ":".join(paths), "PATH": "%s:%s" % (self._folder / "bin", path)}

    def was_used(self) -> bool:
        """Whether anybody has called it since the last question."""
        try:
            (self._folder / "used" / "pip").unlink()
        except OSError:
            return False
        return True

    @property
    def _folder(self) -> Path:
        return self._context.task.lent_folder / "pip"

    def _lent(self) -> bool:
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make()
                except OSError as exc:
                    _log.warning("no pip for the packs' scripts: %s", exc)
                    self._made = False
            return self._made

    def _make(self) -> bool:
        """Whether there is a pip now. Raises OSError, RunCancelled."""
        lent = self._context.task.lent_folder
        lent.mkdir(exist_ok=True, mode=0o700)
        if lent.lstat().st_uid != os.geteuid():
            return False
        if self._context.for_others:
            let_others_in(self._context.task)
        self._folder.mkdir()
        self._pip = self._brought_by_python() or self._fetched()
        if not self._pip:
            return False
        module = self._folder / "pip"
        module.mkdir()
        (module / "__init__.py").write_text(_PIP_MODULE % self._pip, "utf-8")
        self._write_programs()
        _make_readable(self._folder)
        (self._folder / "used").mkdir()
        os.chmod(str(self._folder / "used"), 0o1777)  # noqa: S103 - ComfyUI may be another user's
        return True

    def _brought_by_python(self) -> str:
        """The wheel of ensurepip; empty where Python has none, as Debian's without python3-venv."""
        said = self._run([self._context.executable, "-I", "-c", _FIND], _FIND_SECONDS)
        return next((line[4:].strip() for line in said.splitlines() if line.startswith("pip=")), "")

    def _fetched(self) -> str:
        """The folder of one from the index, brought by uv; empty where it cannot be had."""
        uv, folder = self._uv.now(), self._folder / "fetched"
        if uv is None:
            return ""
        argv = [uv, "pip", "install", "--python", self._context.executable, "--target", str(folder)]
        argv += PIP.arguments(self._folder)
        log = self._context.task.folder / "pip.log"
        finished = self._context.children.run(argv, cwd=self._context.task.folder, limits=_LIMITS, log=log)
        if is_refused(finished.output):
            text = (
                "The package index of the instance serves another file as pip %s than was published. It was not used."
            )
            self._context.warn("pip_refused", text % PIP.version, "Look at the index that uv is told to use there.")
        return str(folder) if finished.ok and (folder / "pip" / "__main__.py").is_file() else ""

    def _write_programs(self) -> None:
        """`pip` and `uv` by name, and uv as a module."""
        programs = self._folder / "bin"
        programs.mkdir()
        line = '#!/bin/sh\nexec %s -m pip "$@"\n' % shlex.quote(self._context.executable)
        for name in ("pip", "pip3"):
            (programs / name).write_text(line, "utf-8")
            os.chmod(str(programs / name), 0o755)  # noqa: S103 - a program
        uv = self._uv.result()
        if uv is None or "uv" in self._context.packages:
            return
        module = self._folder / "uv"
        module.mkdir()
        for name in ("__init__.py", "__main__.py"):
            (module / name).write_text(_UV_MODULE % uv, "utf-8")
        (programs / "uv").symlink_to(uv)


def _make_readable(folder: Path) -> None:
    """For ComfyUI's user, whatever the umask is."""
    found: List[str] = [str(folder)]
    for parent, folders, files in os.walk(str(folder)):
        found += [os.path.join(parent, name) for name in [*folders, *files]]
    for path in found:
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode) | (0o555 if stat.S_ISDIR(mode) or mode & 0o100 else 0o444))
