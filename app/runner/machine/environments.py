"""The Python environments that ComfyUI may have: beside it, in it, and where images and tools put them.

Sources: PEP 405 (pyvenv.cfg), conda's `conda-meta`, the portable build's `python_embeded`; where uv, poetry, pipenv,
virtualenvwrapper and pyenv keep theirs. Nothing is run here.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from app.runner.machine import profiles
from app.runner.machine.comfyui_processes import Process

_PROGRAMS = ("bin/python", "bin/python3", "python", "python3")
_MOST_ENTRIES = 2000
_HERE = ("venv", ".venv")
_KEPT_BY_TOOLS = (
    "~/.cache/pypoetry/virtualenvs/*",
    "~/.local/share/virtualenvs/*",
    "~/.virtualenvs/*",
    "~/venvs/*",
    "~/.pyenv/versions/*",
    "/workspace/venvs/*",
    "/venvs/*",
    "/opt/venvs/*",
    "~/*conda*/envs/*",
    "~/*forge*/envs/*",
    "~/*mamba*/envs/*",
    "/opt/*conda*/envs/*",
    "/opt/*forge*/envs/*",
    "/workspace/*conda*/envs/*",
)
"""Of these only what has ComfyUI in its name counts: they are other programs' too."""
_SYSTEM = ("/usr/local/bin/python3", "/usr/bin/python3")


@dataclass(frozen=True)
class Candidate:
    """An interpreter that may be ComfyUI's. `why`: in words that go on with “it”; `near`: it lies in ComfyUI's folder,
    or beside it, or where this image has it, so that it is likely ComfyUI's own."""

    python: str
    why: str
    near: bool = False


@dataclass(frozen=True)
class Broken:
    """An environment whose interpreter cannot be started: it is a link to one that is gone, or not executable."""

    folder: Path
    why: str

    def __str__(self) -> str:
        return "%s (%s)" % (self.folder, self.why)


def candidates(ui_home: Path, base: Optional[Path], running: Sequence[Process]) -> Tuple[List[Candidate], List[Broken]]:
    """Interpreters that exist, the likeliest first, each once; and what looks like an environment and is none any
    more."""
    found: Dict[str, Candidate] = {}
    broken: List[Broken] = []
    for process in running:
        found.setdefault(process.python, Candidate(process.python, "runs ComfyUI (%s)" % process, near=True))
    for folder, why, near in _folders(ui_home, base):
        python = python_in(folder)
        if python and python not in found:
            found[python] = Candidate(python, why, near)
        elif python is None and near and (_is_environment(folder) or folder.is_symlink()):
            broken.append(Broken(folder, _why_broken(folder)))
    for python in _SYSTEM:
        found.setdefault(python, Candidate(python, "is the system's"))
    return [each for each in found.values() if os.access(each.python, os.X_OK)], broken


def python_in(folder: Path) -> Optional[str]:
    """The interpreter of an environment's folder; None where it has none that can be started."""
    paths = (str(folder / program) for program in _PROGRAMS)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def _folders(ui_home: Path, base: Optional[Path]) -> Iterator[Tuple[Path, str, bool]]:
    """Where an environment may be, why it may be ComfyUI's, and whether it likely is."""
    for top in [ui_home, *([base] if base else [])]:
        yield from ((folder, "is in %s" % top, True) for folder in environments_in(top))
    yield from ((folder, "is active in this login", False) for folder in _active())
    neighbours = list(environments_in(ui_home.parent))
    usual = [folder for folder in neighbours if folder.name in _HERE or "comfy" in folder.name.lower()]
    yield from ((folder, "is beside ComfyUI's folder", True) for folder in usual)
    for path in profiles.interpreters_of(str(ui_home)):
        yield Path(path).parent.parent, "is where this image has it", True
    yield from ((folder, "is named in .python-version", False) for folder in _by_pyenv(ui_home))
    yield from ((folder, "is beside ComfyUI's folder", True) for folder in neighbours if folder not in usual)
    yield from _elsewhere()


def _elsewhere() -> Iterator[Tuple[Path, str, bool]]:
    """Where images have it, and where tools keep environments of all programs."""
    for path in [path for pattern in profiles.interpreters() for path in sorted(glob.glob(pattern))]:
        yield Path(path).parent.parent, "is where images have it", False
    for pattern in _KEPT_BY_TOOLS:
        for path in sorted(glob.glob(os.path.expanduser(pattern)))[:_MOST_ENTRIES]:
            if "comfy" in os.path.basename(path).lower():
                yield Path(path), "has ComfyUI's name", False


def environments_in(top: Path) -> Iterator[Path]:
    """The environments whose folder is in this one, or is this one: those with the usual names first."""
    found = []
    try:
        with os.scandir(str(top)) as entries:
            for _, entry in zip(range(_MOST_ENTRIES), entries):
                path = Path(entry.path)
                if entry.is_dir() and (entry.name in _HERE or _is_environment(path)):
                    found.append(path)
                elif entry.is_symlink() and not entry.is_dir() and entry.name in _HERE:
                    found.append(path)  # a link whose target is gone
    except OSError:
        return
    yield from sorted(found, key=lambda path: (path.name not in _HERE, "comfy" not in path.name.lower(), path.name))
    if (top / "pyvenv.cfg").is_file():
        yield top


def _is_environment(folder: Path) -> bool:
    portable = folder.name.lower().startswith(("python_embed", "python-embed", "python_standalone"))
    return portable or any(os.path.lexists(str(folder / name)) for name in ("pyvenv.cfg", "conda-meta"))


def _why_broken(folder: Path) -> str:
    python = folder / "bin" / "python"
    if os.path.lexists(str(python)):
        target = os.path.realpath(str(python))
        if os.path.exists(target):
            return "its interpreter %s may not be started" % target
        return "its base Python %s is gone" % target
    return (
        "it leads to %s, which is gone" % os.path.realpath(str(folder)) if folder.is_symlink() else "it has no Python"
    )


def _active() -> Iterator[Path]:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"):
        given = os.environ.get(name, "")
        if os.path.isabs(given):
            yield Path(given)


def _by_pyenv(ui_home: Path) -> Iterator[Path]:
    """The version or environment that .python-version names, in ComfyUI's folder or the one above."""
    root = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))
    for folder in (ui_home, ui_home.parent):
        try:
            with open(str(folder / ".python-version"), encoding="utf-8") as file:
                names = file.read(1000).split()
        except (OSError, ValueError):
            continue
        yield from (root / "versions" / name for name in names if "/" not in name and name not in (".", ".."))
