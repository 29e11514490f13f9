"""The Python environment of a stand-in's ComfyUI.

Without pip it is made in some milliseconds (and is what uv makes). With pip it takes seconds, so those who start many
stand-ins give a `cache` folder, on the same disk, where the first one is kept and copied from.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

from app.standin.torch_family import install_family


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with the torch family. `packages` is where the family is."""

    folder: Path
    packages: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def make_environment(
    folder: Path,
    *,
    with_pip: bool,
    system_packages: Path | None = None,
    cache: Path | None = None,
    python: str | None = None,
) -> Environment:
    """Make a virtual environment at `folder`, the torch family in it. `python`: of this interpreter, instead of the one
    that runs us.

    With `system_packages` it sees the system's packages, and the family lies in that folder: visible to Python and pip,
    not in the environment itself, as in RunPod's official template.
    """
    system = system_packages is not None
    if python is not None:
        pip = [] if with_pip else ["--without-pip"]
        subprocess.run([python, "-m", "venv", *pip, str(folder)], check=True, capture_output=True, timeout=120)
    elif with_pip and cache is not None:
        _copy(_template(cache, system), folder)
    else:
        _create(folder, with_pip=with_pip, system=system)
    site_packages = next(folder.glob("lib/python3.*/site-packages"))
    packages = system_packages or site_packages
    packages.mkdir(parents=True, exist_ok=True)
    install_family(packages)
    if system:
        (site_packages / "_standin_system.pth").write_text(f"{packages}\n", "utf-8")
    return Environment(folder, packages)


def _create(folder: Path, *, with_pip: bool, system: bool) -> None:
    venv.EnvBuilder(symlinks=True, with_pip=with_pip, system_site_packages=system).create(folder)


def _template(cache: Path, system: bool) -> Path:
    """The cached environment with pip, made by whoever comes first."""
    cache.mkdir(parents=True, exist_ok=True)
    template = cache / ("venv-system" if system else "venv")
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (template / "complete").exists():
            _create(template, with_pip=True, system=system)
            (template / "complete").touch()
    return template


def _copy(template: Path, folder: Path) -> None:
    """Copy an environment and put its new place where scripts name the old one.

    Packages are hard links: installers replace files, they do not write into them. Scripts are copies.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-al", str(template), str(folder)], check=True, capture_output=True, timeout=60)
    (folder / "complete").unlink()
    old, new = os.fsencode(template), os.fsencode(folder)
    for path in [folder / "pyvenv.cfg", *(folder / "bin").iterdir()]:
        if not path.is_symlink():
            content, mode = path.read_bytes(), path.stat().st_mode
            path.unlink()
            path.write_bytes(content.replace(old, new))
            path.chmod(mode)
