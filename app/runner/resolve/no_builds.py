"""A plan runs no code of packages: what uv would have to build, to know what it requires, is refused and told.

uv's own `--no-build` is not enough: it builds editable folders all the same, and it takes an older wheel where a newer
version would be built. So uv may build, but every program that it starts for a build fails before it reads a line of
the package: PYTHONHOME names an empty folder. uv looks at an interpreter with `-I`, which ignores that. Whether it
holds for this uv and this interpreter is tried on a package of our own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import threading
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from app.protocol.redaction import masked
from app.protocol.snapshot import PlannedChange
from app.runner.context import Context
from app.runner.process.audit import because
from app.runner.process.children import Children, Finished, Limits
from app.runner.process.execute import base_environ
from app.runner.resolve.plan import LONG_BUILD, PackRequirements
from app.runner.resolve.unbuilt import NeededBuild, is_address, needed_build, of_line, told

_ASK = Limits(idle=30.0, total=60.0)
_SAID = b"\n  cause: Nodeferry builds nothing while it plans\n"
_BACKEND = re.compile(r"[Bb]uild backend")
_NO_PYTHON = "No module named 'encodings'"
_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
_BACKEND_FILE = "import os\nopen(os.path.join(os.path.dirname(__file__), 'ran'), 'w').close()\n"
_OWN_PYTHON = ("git", "keyring")
"""What uv starts itself, and what may be, or start, a Python program."""
_making = threading.Lock()


class NoBuilds:
    """One run's. `arguments` and `environ`: for each call of uv that resolves."""

    arguments = ("--no-build-isolation",)  # what a build requires is not even fetched

    def __init__(self, folder: Path, may_build: bool) -> None:
        """`folder`: for its files. `may_build`: whether builds were asked for, without anybody's credentials. Raises
        OSError."""
        self._home = folder / "no-python"
        self._canary = folder / "canary"
        self.may_build = may_build
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = "%s:%s" % (_programs(folder / "bin"), base_environ().get("PATH", ""))
        self.environ: Dict[str, str] = {"PYTHONHOME": str(self._home), "PATH": path}
        self._holds: Dict[str, bool] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, context: Context) -> Optional[NoBuilds]:
        """The run's, made at its first use; None for a run that is carried out. Raises OSError."""
        if not context.options.plan_only:
            return None
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                known = cls(context.task.folder / "planning", context.options.build_for_plan)
                context.shared[cls.__name__] = known
            return known

    def holds(self, children: Children, program: str, python: str) -> bool:
        """Whether this uv runs nothing of a package of ours that it has to build. Raises OSError, RunCancelled."""
        with self._lock:
            if program not in self._holds:
                self._holds[program] = self._try(children, program, python)
            return self._holds[program]

    def _try(self, children: Children, program: str, python: str) -> bool:
        self._canary.mkdir(exist_ok=True, mode=0o700)
        (self._canary / "pyproject.toml").write_text(_PROJECT, "utf-8")
        (self._canary / "own.py").write_text(_BACKEND_FILE, "utf-8")
        argv = [program, "pip", "install", "--dry-run", "--offline", "--no-deps", "--no-config", *self.arguments]
        argv += ["--python", python, "-e", str(self._canary)]
        with because("try whether a plan builds nothing"):
            finished = children.run(argv, cwd=self._home, limits=_ASK, environ=self.environ, keep_bytes=1 << 18)
        return was_refused(finished) and not (self._canary / "ran").exists()


def was_refused(finished: Finished) -> bool:
    """Whether a resolution failed since something would have to be built."""
    if finished.ok or finished.stopped:
        return False
    return _SAID.strip() in finished.raw or bool(_NO_PYTHON in finished.output and _BACKEND.search(finished.output))


def tidied(finished: Finished) -> Finished:
    """An answer in which a refused build is said as such, without what a Python says that has no library."""
    if not was_refused(finished) or _SAID.strip() in finished.raw:
        return finished
    lines = finished.raw.splitlines(keepends=True)
    end = next((number for number, line in enumerate(lines) if b"[stderr]" in line), len(lines))
    chain = [line for line in lines[end:] if b"was included because" in line]
    return Finished(finished.code, b"".join(lines[:end]).rstrip() + _SAID + b"".join(chain), finished.stopped)


def leave_out_unbuilt(item: PackRequirements, finished: Finished, alone: Callable[[Sequence[str]], Finished]) -> bool:
    """Whether something is noted as to be built, without which the pack's plan can be asked for again. `alone`:
    resolves lines by themselves. Raises OSError, RunCancelled."""
    found = needed_build(finished.output)
    if found is None or found.source:
        for line in [line for line in item.lines if is_address(line)]:
            if (found and found.source and found.source in masked(line)) or was_refused(alone([line])):
                item.unbuilt.append(of_line(line, str(item.result.folder)))
                item.lines = [each for each in item.lines if each != line]
                item.write()
                return True
    if found is None or found.package in [each.package for each in item.unbuilt]:
        return False
    item.unbuilt.append(found)
    return True


def note_unbuilt(context: Context, items: Sequence[PackRequirements]) -> None:
    """What these packs' plans lack, for `unbuilt_of`."""
    noted = _noted(context)
    for item in items:
        for each in item.unbuilt:
            packs = noted.setdefault(each, [])
            packs += [item.name] if item.name not in packs else []


def unbuilt_of(context: Context) -> Tuple[PlannedChange, ...]:
    """All that the run's plan lacks, each with the packs that it is for."""
    installed = context.packages
    return tuple(told(each, packs, LONG_BUILD, installed.get(each.package)) for each, packs in _noted(context).items())


def _noted(context: Context) -> Dict[NeededBuild, List[str]]:
    noted = context.shared.setdefault("unbuilt", {})
    assert isinstance(noted, dict)
    return noted


def _programs(folder: Path) -> Path:
    """Programs that uv starts for itself, with their Python."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _OWN_PYTHON:
        found = shutil.which(name, path=base_environ().get("PATH"))
        if found:
            text = '#!/bin/sh\nunset PYTHONHOME\nexec %s "$@"\n' % shlex.quote(found)
            (folder / name).write_text(text, "utf-8")
            os.chmod(str(folder / name), 0o700)
    return folder
