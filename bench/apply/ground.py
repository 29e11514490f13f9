"""The packages that the sequences change, and environments to change them in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.runner.environment.installed_files import damage, find
from test.support.package_index import PackageIndex
from test.support.uv_faults import FaultyUv

NAMES = ("plain", "large", "tool", "shared-one", "shared-two", "with-data", "single", "deep")
VERSIONS = ("1.0", "2.0", "3.0")
SMALL_BYTES = 30_000
_PARTS = 40
_IS_VENVS_OWN = re.compile(r"/__pycache__/|/bin/(python|[Aa]ctivate)[^/]*$|/\.lock$|/_virtualenv\.p")


class Ground:
    """An index with packages of several shapes, and a uv that things can happen to."""

    def __init__(self, folder: Path, index: PackageIndex, uv: Path) -> None:
        self._plain_uv = uv
        self.uv = FaultyUv(folder / "uv", uv, sys.executable)
        self.folder = folder
        self.environ = {
            **os.environ,
            "UV_DEFAULT_INDEX": index.url,
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_NO_CONFIG": "1",
            "PIP_CONFIG_FILE": os.devnull,
        }
        for name in NAMES:
            for version in VERSIONS:
                index.wheel(name, version, modules=_files(name, version))

    def environment(self, number: int, versions: Mapping[str, str]) -> Made:
        """A new environment with these packages."""
        folder = self.folder / f"venv-{number}"
        venv.EnvBuilder(symlinks=True, with_pip=False, clear=True).create(folder)
        made = Made(folder, next(folder.glob("lib/python3.*/site-packages")))
        pins = [f"{name}=={version}" for name, version in versions.items()]
        argv = [str(self._plain_uv), "pip", "install", "-q", "--no-deps", "--python", made.python, *pins]
        if pins:
            subprocess.run(argv, env=self.environ, check=True, capture_output=True, timeout=60)
        return made


@dataclass(frozen=True)
class Made:
    """One environment."""

    folder: Path
    packages: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def versions(self) -> dict[str, str]:
        """The packages that are there, whole, and the version of each; what is wrong with one stands behind it."""
        found = {}
        for name, packages in find([str(self.packages)], NAMES).items():
            wrong = [damage(package) or ("" if package.files else " unlisted") for package in packages]
            found[name] = " and ".join(package.version + why for package, why in zip(packages, wrong, strict=True))
        return found

    def stray(self) -> list[str]:
        """Files that no package lists."""
        listed = {
            file.path
            for packages in find([str(self.packages)]).values()
            for package in packages
            for file in package.files or ()
        }
        places = (self.packages, self.folder / "bin", self.folder / "share")
        there = {str(path) for place in places for path in place.glob("**/*") if path.is_file() or path.is_symlink()}
        return sorted(path for path in there - listed if not _IS_VENVS_OWN.search(path))


def _files(name: str, version: str) -> dict[str, str]:
    """Each version has a file that the others do not have."""
    module = name.replace("-", "_")
    top = f"shared/{module}" if name.startswith("shared") else f"{module}/inner/most" if name == "deep" else module
    files = {f"{top}/__init__.py": f"__version__ = {version!r}\n", f"{top}/v{version[0]}.py": "only = 1\n"}
    files |= {f"{top}/part{number}.py": f"part = {number}\n" for number in range(_PARTS)}
    info = f"{module}-{version}.dist-info"
    if name == "single":
        return {"single.py": f"__version__ = {version!r}\n"}
    if name == "tool":
        files[f"{info}/entry_points.txt"] = "[console_scripts]\ntool = tool:main\n"
    if name == "with-data":
        files[f"{module}-{version}.data/data/share/{module}/about.txt"] = version
    if name in ("large", "shared-two"):
        files[f"{top}/zz_large.py"] = f"# {version}\n" + "#" * (2 * SMALL_BYTES)
    return files
