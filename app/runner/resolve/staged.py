"""Installing where uv refuses to look at what is installed.

uv reads the names of all packages of an environment before it changes anything, and stops at one that it cannot read
(Debian's `distro_info-1.1build1`, what an old pip left half-way, a broken file of one package). pip since 24.1 stops
too. uv does not look at a folder of its own: it installs there, and from there each package is put into the
environment. The files that it replaces are put aside first, and are put back where that fails.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from app.runner.environment.change_record import is_inside
from app.runner.environment.environment import Environment
from app.runner.environment.installed_files import InstalledFiles, find

_REFUSED = re.compile(r"Failed to read metadata from: `?([^`\n]+)")


def unreadable(output: str) -> Optional[str]:
    """The package's folder at which uv stopped before it changed anything; None where it did not."""
    found = _REFUSED.search(output)
    return found.group(1).strip() if found else None


class Move(NamedTuple):
    """One file on its way."""

    source: Path
    target: Path


class Staging:
    """What uv installed into `folder` (`--prefix`), for one environment."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder = folder
        self._environment = environment
        self._scheme: Dict[str, Path] = {key: Path(value) for key, value in environment.scheme.items()}
        self._aside = folder / "aside"

    def put_in_place(self) -> str:
        """Puts each package into the environment, instead of the version that is there. What went wrong with the first
        that could not be, in words like uv's own; the ones before it are there. Empty when all are."""
        for site in sorted(self.folder.glob("lib*/python*/site-packages")):
            for package in (found[0] for _, found in sorted(find([str(site)]).items())):
                try:
                    self._replace(package.name, self._moves(package, site))
                except OSError as exc:
                    return "error: Failed to install `%s==%s`: %s" % (package.name, package.version, _why(exc))
        return ""

    def remove(self, names: Sequence[str]) -> str:
        """Removes packages. What went wrong, in words like uv's own; empty when all are gone."""
        for name in names:
            try:
                self._replace(name, [])
            except OSError as exc:
                return "error: Failed to uninstall `%s`: %s" % (name, _why(exc))
        return ""

    def _replace(self, name: str, moves: Sequence[Move]) -> None:
        """All or nothing, as far as the file system lets it. Raises OSError."""
        gone = self._files(name)
        overwritten = [move.target for move in moves if os.path.lexists(str(move.target))]
        shutil.rmtree(str(self._aside), ignore_errors=True)
        aside = [Move(path, self._aside / str(n)) for n, path in enumerate(dict.fromkeys([*gone, *overwritten]))]
        done: List[Move] = []
        try:
            for move in [*aside, *moves]:
                _move(move)
                done.append(move)
        except OSError:
            for move in reversed(done):
                _move(Move(move.target, move.source))
            raise
        kept = {*self._scheme.values(), *map(Path, self._environment.site_packages)}
        emptied = {folder for path in gone for folder in path.parents if not any(folder in top.parents for top in kept)}
        for folder in sorted(emptied - kept, key=lambda path: -len(path.parts)):
            with suppress(OSError):  # it is not empty
                folder.rmdir()

    def _moves(self, package: InstalledFiles, site: Path) -> List[Move]:
        found = []
        for file in package.files or ():
            source = Path(file.path)
            parts = ((site, "purelib"), (self.folder / "bin", "scripts"), (self.folder, "data"))
            folder, key = next(part for part in parts if part[0] in source.parents)
            found.append(Move(source, self._scheme[key] / source.relative_to(folder)))
        return found

    def _files(self, name: str) -> List[Path]:
        """The files of a package that are there, and what Python compiled of them. Raises OSError where it is not known
        which they are."""
        found: List[Path] = []
        for package in (each for some in find(self._environment.site_packages, [name]).values() for each in some):
            if package.files is None and package.has_metadata:
                raise OSError(0, "%s %s is installed, and nothing lists its files" % (package.name, package.version))
            mine = [path for path in package.own_files if is_inside(path, self._environment)]
            for path in map(Path, filter(os.path.lexists, mine)):
                found += [path, *(path.parent / "__pycache__").glob(path.stem + ".*.pyc")]
        return list(dict.fromkeys(found))


def _why(exc: OSError) -> str:
    return "%s%s" % (exc.strerror or exc, " (%s)" % exc.filename if exc.filename else "")


def _move(move: Move) -> None:
    move.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(str(move.source), str(move.target))
    except OSError:  # another file system, or a lower layer of the image
        shutil.copy2(str(move.source), str(move.target), follow_symlinks=False)
        os.unlink(str(move.source))
