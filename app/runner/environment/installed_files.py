"""The files of installed packages, as their own metadata lists them, and whether they are all there.

Sources of the formats: the "Recording installed projects" specification (dist-info, RECORD), and setuptools' egg-info
(`installed-files.txt`, `top_level.txt`).
"""

from __future__ import annotations

import csv
import os
import re
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import (
    AbstractSet,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from app.runner.requirements.lines import canonical

_METADATA = re.compile(r"^([A-Za-z0-9][^-]*)(?:-(.+?))?(?:-py[0-9.]+)?\.(?:dist-info|egg-info)$")
_NOTHING: Mapping[str, AbstractSet[Optional[int]]] = {}
_MOST_BYTES = 64 * 1024 * 1024
_LONGEST_SIZE = 19
"""Digits."""


class RecordedFile(NamedTuple):
    """A file that a package lists as its own. `path`: absolute; `digest`: `sha256=…`, empty where none is recorded;
    `size`: None where none is."""

    path: str
    digest: str = ""
    size: Optional[int] = None


@dataclass(frozen=True)
class InstalledFiles:
    """One package on disk. `metadata`: its dist-info or egg-info, a folder or, from distutils, a file."""

    name: str
    version: str
    metadata: Path

    @cached_property
    def files(self) -> Optional[Tuple[RecordedFile, ...]]:
        """What it lists as its own; None where it has no such list, so that no installer can remove it."""
        if self.metadata.name.endswith(".dist-info"):
            return self._recorded() or None
        return self._of_egg_info() or None if self.metadata.is_dir() else None

    def _recorded(self) -> Tuple[RecordedFile, ...]:
        """The lines of RECORD. Paths may be absolute, or go up (`../../../bin/tool`)."""
        root = str(self.metadata.parent)
        prefix = os.path.normpath(os.path.join(root, "x"))[:-1]
        try:
            rows = list(csv.reader(_text(self.metadata / "RECORD").encode("utf-8").decode("utf-8").splitlines()))
        except (UnicodeError, csv.Error):
            return ()  # installers refuse it too
        found = []
        for row in rows:
            if row and row[0] and "\0" not in row[0]:
                size = row[2] if len(row) > 2 and row[2].isdecimal() and len(row[2]) < _LONGEST_SIZE else None
                path = row[0]
                if path[0] in "./" or path[-1] == "/" or "/." in path or "//" in path:
                    path = os.path.normpath(os.path.join(root, path))
                else:  # nearly all of the 100,000 of an image: it has no part to be resolved
                    path = prefix + path
                found.append(RecordedFile(path, row[1] if len(row) > 1 else "", int(size) if size else None))
        return tuple(found)

    def _of_egg_info(self) -> Tuple[RecordedFile, ...]:
        """As an installer removes it: the list of files, else all that its top-level modules are."""
        listed = [line for line in _text(self.metadata / "installed-files.txt").splitlines() if line.strip()]
        listed = [line for line in listed if "\0" not in line]
        if listed:
            return tuple(RecordedFile(os.path.normpath(os.path.join(str(self.metadata), line))) for line in listed)
        words = _text(self.metadata / "top_level.txt").split()
        modules = [word for word in words if not {"/", "\0"} & set(word) and word != ".."]
        root = self.metadata.parent
        tops = [path for word in modules for path in (root / word, root / (word + ".py")) if os.path.lexists(str(path))]
        return tuple(RecordedFile(path) for top in [*tops, self.metadata] for path in _below(top)) if modules else ()

    @property
    def has_metadata(self) -> bool:
        """Whether it says what it is."""
        return self.metadata.is_file() or any((self.metadata / name).is_file() for name in ("METADATA", "PKG-INFO"))

    @property
    def own_files(self) -> Iterator[str]:
        """What it lists, and its metadata itself."""
        listed = {file.path for file in self.files or ()}
        yield from sorted(listed | set(_below(self.metadata)))


def find(folders: Sequence[str], names: Optional[Iterable[str]] = None) -> Dict[str, List[InstalledFiles]]:
    """The packages in these folders by canonical name, in the folders' order; several where one is there twice.
    `names`: only these. Folders that cannot be read have none."""
    wanted = None if names is None else {canonical(name) for name in names}
    found: Dict[str, List[InstalledFiles]] = {}
    for folder in dict.fromkeys(folders):
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            known = _METADATA.match(entry)
            name = canonical(known.group(1)) if known else ""
            if known and (wanted is None or name in wanted):
                found.setdefault(name, []).append(InstalledFiles(name, known.group(2) or "", Path(folder) / entry))
    return found


def damage(
    package: InstalledFiles,
    since: float = 0.0,
    listed: Mapping[str, AbstractSet[Optional[int]]] = _NOTHING,
    *,
    absent: AbstractSet[str] = frozenset(),
    patched: bool = False,
) -> str:
    """What is wrong with a package's files, in words; empty when all are there in their sizes. `since` (Unix seconds):
    only what happened from then on; a file that had gone before counts as it was. Of a package without a list of its
    files nobody knows; but one that lost the list since then was being removed. `listed`: what all packages list
    (`sizes_of`): a file that another package with the same path has brought is whole. `absent`: files that were not
    there before either (`absent_files`). `patched`: a file that may have been changed on purpose, as packs do with
    basicsr, is whole too; one that is empty now was not."""
    if package.files is None:
        removed = since > 0 and package.metadata.name.endswith(".dist-info")
        return "the list of its files is missing" if removed and _changed_since(str(package.metadata), since) else ""
    gone, other = [], []
    for file in package.files or ():
        try:
            state = os.lstat(file.path)
        except OSError:
            if (
                not file.path.endswith(".pyc")
                and file.path not in absent
                and _changed_since(os.path.dirname(file.path), since)
            ):
                gone.append(file.path)
            continue
        changed = file.size is not None and stat.S_ISREG(state.st_mode) and state.st_size != file.size
        changed = changed and state.st_size not in listed.get(file.path, ()) and not (patched and state.st_size)
        if changed and state.st_ctime >= since and not file.path.endswith(("/RECORD", "/INSTALLER", "/REQUESTED")):
            other.append(file.path)
    return "; ".join(
        "%s %s" % (_some(paths, package.metadata.parent), what)
        for paths, what in ((gone, "missing"), (other, "of another size"))
        if paths
    )


def sizes_of(packages: Iterable[InstalledFiles]) -> Dict[str, Set[Optional[int]]]:
    """The files that packages list, with the sizes that they have in each of them."""
    found: Dict[str, Set[Optional[int]]] = {}
    for package in packages:
        for file in package.files or ():
            found.setdefault(file.path, set()).add(file.size)
    return found


def absent_files(folders: Sequence[str], names: Optional[Iterable[str]] = None) -> FrozenSet[str]:
    """The files that packages in these folders list, and that are not there: images are often made smaller by the
    removal of all folders of tests. `names`: only of these packages."""
    packages = [package for found in find(folders, names).values() for package in found]
    listed = (file.path for package in packages for file in package.files or ())
    return frozenset(path for path in listed if not os.path.lexists(path))


def _changed_since(folder: str, since: float) -> bool:
    """Whether something went from a folder since then, or the folder itself did."""
    while True:
        try:
            return os.stat(folder).st_mtime >= since
        except OSError:
            if folder in ("/", ""):
                return True
            folder = os.path.dirname(folder)


def _some(paths: List[str], root: Path) -> str:
    first = os.path.relpath(paths[0], str(root))
    return "%s is" % first if len(paths) == 1 else "%s and %d more files are" % (first, len(paths) - 1)


def _below(path: Path) -> List[str]:
    if not path.is_dir() or path.is_symlink():
        return [str(path)]
    return [os.path.join(folder, name) for folder, _names, files in os.walk(str(path)) for name in files]


def _text(path: Path) -> str:
    try:
        with open(str(path), "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
