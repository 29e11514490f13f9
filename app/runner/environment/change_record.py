"""The record of a change of packages, and the files kept for it: in a folder in site-packages, while the change lasts.

The folder appears under its name when it is complete, and loses that name before it is removed. So whoever finds it
finds all of it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from app.runner.environment.environment import Environment
from app.runner.environment.installed_files import InstalledFiles
from app.runner.files.mounts import is_layered
from app.runner.requirements.lines import canonical

PREFIX = ".nodeferry-change-"
MAKING = ".nodeferry-making-"
"""The folder's name before it is complete, and while it is removed."""
FILE = "change.json"
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


@dataclass(frozen=True)
class ChangeRecord:
    """What a change may touch, and how it was before. `names`: the packages, in canonical form; `versions`: of those
    that were there; `kept`: the kept file of each path, `PACKAGE/FILE` below the folder; `present`: the entries of the
    folders that packages are installed into; `began`: seconds, by the file system's own clock."""

    task_id: str
    names: Sequence[str]
    versions: Mapping[str, str]
    present: Mapping[str, Sequence[str]]
    kept: Mapping[str, str]
    began: float = 0.0


def write(
    record: ChangeRecord, packages: Sequence[InstalledFiles], environment: Environment
) -> Tuple[Path, ChangeRecord]:
    """Keeps the packages' files in a new folder in site-packages, and writes the record of it. Raises OSError; then
    nothing is left behind."""
    root = Path(environment.site_packages[0])
    number = 1
    while os.path.lexists(str(root / ("%s%s-%d" % (PREFIX, record.task_id, number)))):
        number += 1
    name = "%s-%d" % (record.task_id, number)
    making = root / (MAKING + name)
    try:
        making.mkdir(mode=0o700)
        inside = FilesInside(environment)
        kept = dict(_keep_all(making, packages, inside))
        path = making / FILE
        path.touch(mode=0o600)
        record = replace(record, kept=kept, began=path.stat().st_ctime)
        with open(str(path), "w", encoding="ascii") as file:
            json.dump(vars(record), file)
            file.flush()
            os.fsync(file.fileno())  # a machine that stops must find it
        os.rename(str(making), str(root / (PREFIX + name)))
    except OSError:
        discard(making)
        raise
    return root / (PREFIX + name), record


def read(folder: Path, environment: Environment) -> ChangeRecord:
    """The record in a folder. Whoever may write into site-packages may have written it: no path in it leads out of
    the environment. Raises OSError, or ValueError, TypeError, KeyError or AttributeError for what is no record."""
    said: Mapping[str, Any] = json.loads((folder / FILE).read_text("ascii"))
    kept = {str(path): str(place) for path, place in said["kept"].items()}
    inside = FilesInside(environment)
    for path, place in kept.items():
        parts = place.split("/")
        if len(parts) != 2 or ".." in parts or not os.path.isabs(path) or not inside(path):
            raise ValueError("not a path of the environment: %r" % path)
    return ChangeRecord(
        task_id=str(said["task_id"]),
        names=[canonical(str(name)) for name in said["names"]],
        versions={canonical(str(name)): str(version) for name, version in said["versions"].items()},
        present={str(root): [str(entry) for entry in entries] for root, entries in said["present"].items()},
        kept=kept,
        began=float(said["began"]),
    )


def discard(folder: Path) -> None:
    """Removes the folder; under another name first, since what is half removed must not be taken for a record."""
    gone = folder.with_name(folder.name.replace(PREFIX, MAKING, 1))
    try:
        os.rename(str(folder), str(gone))
    except OSError:
        gone = folder
    shutil.rmtree(str(gone), ignore_errors=True)


def package_of(place: str) -> str:
    """The package that a kept file belongs to."""
    return place.partition("/")[0]


class FilesInside:
    """Whether files are the environment's. A package may list any path, and folders may be links; each folder is looked
    at once."""

    def __init__(self, environment: Environment) -> None:
        self._roots = [os.path.realpath(root) for root in (environment.prefix, *environment.site_packages)]
        self._folders: Dict[str, bool] = {}

    def __call__(self, path: str) -> bool:
        """Whether this one is."""
        folder = os.path.dirname(path)
        known = self._folders.get(folder)
        if known is None:
            real = os.path.realpath(folder)
            known = any(real == root or real.startswith(root + os.sep) for root in self._roots)
            self._folders[folder] = known
        return known


def is_inside(path: str, environment: Environment) -> bool:
    """Whether one file is the environment's."""
    return FilesInside(environment)(path)


def put_back(source: str, path: str) -> None:
    """A kept file to its place. Raises OSError."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    _keep(source, path)


def is_same(one: str, other: str) -> bool:
    """Whether two names are one file, or a copy of it."""
    try:
        first, second = os.lstat(one), os.lstat(other)
    except OSError:
        return False
    if (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino):
        return True
    is_copy = first.st_dev != second.st_dev or first.st_nlink == 1
    return is_copy and (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def _keep_all(
    folder: Path, packages: Sequence[InstalledFiles], inside: Callable[[str], bool]
) -> Iterator[Tuple[str, str]]:
    """Each file of the packages, and its kept one. What is listed and not there was not there before either; what lies
    outside of the environment is not read, whatever it is (/dev/zero has no end)."""
    keep = _copy if is_layered(folder) else _keep
    for package in packages:
        (folder / package.name).mkdir(exist_ok=True, mode=0o700)
        for number, path in enumerate(filter(inside, package.own_files)):
            place = "%s/%s-%d" % (package.name, package.version.replace("/", "_") or "0", number)
            try:
                keep(path, str(folder / place))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            yield path, place
        for path in filter(inside, _rewritten(package)):
            place = "%s/%s" % (package.name, os.path.basename(path))
            shutil.copy2(path, str(folder / place))
            yield path, place


def _rewritten(package: InstalledFiles) -> List[str]:
    """What the removal of an old editable package (setuptools' `develop`) changes in place."""
    root = package.metadata.parent
    links = [path for path in root.glob("*.egg-link") if canonical(path.stem) == package.name]
    return [str(path) for path in (*links, root / "easy-install.pth") if links and path.is_file()]


def _keep(source: str, target: str) -> None:
    """A second name for a file; a copy where the file system has no such links. Raises OSError."""
    if os.path.isdir(source) and not os.path.islink(source):
        raise IsADirectoryError(source)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        _copy(source, target)


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    if os.geteuid() == 0:
        state = os.lstat(source)
        os.chown(target, state.st_uid, state.st_gid, follow_symlinks=False)
