"""A change of installed packages that is made, or leaves the environment as it was.

uv and pip first remove all packages that they replace, and then bring the new ones. Whatever ends them in between (a
package that cannot be removed, a full disk, a kill) leaves an environment without packages that were there. So before
either is called, the files of the packages that are about to go are linked into a folder in site-packages, which costs
neither time nor space, and a record says what they were. Both are removed when the change is made. Found later, by this
run, by the sweep of a killed one or by the next run, they are used to put everything back.
"""

from __future__ import annotations

import math
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence

from app.runner.environment import change_record
from app.runner.environment.change_record import ChangeRecord, is_inside, is_same, package_of
from app.runner.environment.environment import Environment
from app.runner.environment.installed_files import find
from app.runner.process import processes
from app.runner.process.locks import is_locked, try_lock
from app.runner.process.paths import Task
from app.runner.requirements.lines import canonical

_MAY_WRITE_ON = 120.0
"""How long an installer goes on after the last line that it printed."""


class Transaction:
    """One change, between `begin` and `commit` or `roll_back`."""

    def __init__(
        self, environment: Environment, record: ChangeRecord, folder: Optional[Path], *, until: float = math.inf
    ) -> None:
        """`folder`: where the record and the kept files are; None where nothing had to be kept, and no record could be
        written. `until` (Unix seconds): what came later, and no package lists, is not the installer's."""
        self._environment = environment
        self._folder = folder
        self._until = until
        self._lock: Optional[int] = None
        self.record = record

    def owner_of(self, text: str) -> Optional[str]:
        """The package one of whose files a text names; None for none."""
        named = max((path for path in self.record.kept if path in text), key=len, default=None)
        return package_of(self.record.kept[named]) if named else None

    def hold(self) -> None:
        """Shows other runs that this one lives, also those that do not know its folder: another user's, for whom the
        environment is the same."""
        if self._folder is not None:
            with suppress(OSError):  # a file system without locks
                self._lock = try_lock(self._folder / change_record.FILE)

    def commit(self) -> None:
        """The change is made: what was kept is not needed any more."""
        if self._folder is not None:
            change_record.discard(self._folder)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def roll_back(self) -> List[str]:
        """Puts everything back as it was; the packages that could not be. What was kept of those stays, for a later
        try. May be called again, and after a kill by another process."""
        self._remove_new()
        for path, place in self.record.kept.items():
            if self._folder is not None and not is_same(str(self._folder / place), path):
                with suppress(OSError):  # `lost` finds it
                    change_record.put_back(str(self._folder / place), path)
        left = self.lost()
        if not left:
            self.commit()
        return left

    def lost(self) -> List[str]:
        """The packages that were there before, and are not as they were."""
        folder = self._folder
        if folder is None:
            return []
        gone = [place for path, place in self.record.kept.items() if not is_same(str(folder / place), path)]
        return sorted({package_of(place) for place in gone})

    def _remove_new(self) -> None:
        """The files of the new packages, finished ones and those that an end in the middle left without any metadata;
        not what another package lists too."""
        packages = find(self._environment.site_packages)
        names = set(self.record.names)
        mine = [package for name in names for package in packages.get(name, ())]
        others = [package for name, found in packages.items() if name not in names for package in found]
        spared = {file.path for package in others for file in package.files or ()} | set(self.record.kept)
        listed = [path for package in mine for path in package.own_files]
        for path in [*listed, *self._unlisted()]:
            if path not in spared and is_inside(path, self._environment):
                with suppress(OSError):
                    os.unlink(path)
                self._remove_empty(os.path.dirname(path))
        for package in mine:  # a folder that was made, and got no file yet
            self._remove_empty(str(package.metadata))
        for top in self._new_entries():
            for folder, _names, _files in os.walk(top, topdown=False):
                self._remove_empty(folder)

    def _unlisted(self) -> List[str]:
        """Files that are new since the change began, in folders that were not there, in folders of packages that it
        replaces, and in those that several packages share."""
        roots = self._environment.site_packages
        replaced = {_top_of(path, roots) for path in self.record.kept}
        shared = [os.path.join(root, entry) for root in roots for entry in _entries(root)]
        others = {*self._new_entries(), *filter(_is_shared, shared)} - replaced
        ends = {**dict.fromkeys(others, self._until), **dict.fromkeys(filter(os.path.lexists, replaced), math.inf)}
        found = [(path, end) for top, end in ends.items() for path in _files_below(top)]
        return [path for path, end in found if self.record.began <= _changed_at(path) <= end]

    def _new_entries(self) -> List[str]:
        """What was not there before the change, in the folders that packages are installed into."""
        ours = (change_record.PREFIX, change_record.MAKING)
        return [
            os.path.join(root, entry)
            for root in _install_folders(self._environment)
            for before in [self.record.present.get(root)]
            if before is not None
            for entry in _entries(root)
            if entry not in before and not entry.startswith(ours)
        ]

    def _remove_empty(self, folder: str) -> None:
        if _entries(folder) == ["__pycache__"]:
            shutil.rmtree(os.path.join(folder, "__pycache__"), ignore_errors=True)
        roots = (self._environment.prefix, *self._environment.site_packages)
        with suppress(OSError):  # not empty, or gone
            while folder not in roots and is_inside(folder, self._environment):
                os.rmdir(folder)
                folder = os.path.dirname(folder)


def begin(environment: Environment, names: Iterable[str], task_id: str) -> Transaction:
    """Keeps what is there of these packages. Raises OSError where something is there and cannot be kept: then nothing
    may be changed."""
    wanted = sorted({canonical(name) for name in names})
    packages = [package for found in find(environment.site_packages, wanted).values() for package in found]
    record = ChangeRecord(
        task_id=task_id,
        names=wanted,
        versions={package.name: package.version for package in packages},
        present={root: _entries(root) for root in _install_folders(environment)},
        kept={},
    )
    try:
        folder, record = change_record.write(record, packages, environment)
    except OSError:
        if packages:
            raise
        return Transaction(environment, record, None)
    change = Transaction(environment, record, folder)
    change.hold()
    return change


@dataclass(frozen=True)
class RolledBack:
    """A change that was found and undone. `packages`: those that were there before; `left`: those of them that could
    not be put back."""

    packages: Sequence[str]
    left: Sequence[str]


def recover(environment: Environment) -> List[RolledBack]:
    """Puts back what killed runs left half changed. Not what belongs to a run that lives."""
    undone: List[RolledBack] = []
    for root in environment.site_packages:
        for entry in _entries(root):
            if entry.startswith(change_record.MAKING):
                change_record.discard(Path(root) / entry)
            elif entry.startswith(change_record.PREFIX):
                undone += _recovered(environment, Path(root) / entry)
    return undone


def _recovered(environment: Environment, folder: Path) -> List[RolledBack]:
    """One of them; none where the run lives, or another run is at it, or it is no record."""
    try:
        record = change_record.read(folder, environment)
        task = Task(record.task_id)
        if task.folder.is_dir() and is_locked(task.lock):
            return []
        lock = try_lock(folder / change_record.FILE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    if lock is None:
        return []
    try:
        processes.end_all(lambda: processes.marked(record.task_id))
        change = Transaction(environment, record, folder, until=max(record.began, _last_sign_of(task)) + _MAY_WRITE_ON)
        return [RolledBack(sorted({*record.versions, *map(package_of, record.kept.values())}), change.roll_back())]
    finally:
        os.close(lock)


def _last_sign_of(task: Task) -> float:
    """When a run that is over wrote something last (Unix seconds); 0 where its folder is gone."""
    return max((_changed_at(str(task.folder / name)) for name in _entries(str(task.folder))), default=0.0)


def listed_nowhere(environment: Environment, names: Iterable[str]) -> Dict[str, str]:
    """Those of these packages that no installer can remove, since nothing lists their files, and their versions. What
    a killed installer left of a package (a folder without metadata) is none, and stands in nobody's way."""
    packages = [package for found in find(environment.site_packages, names).values() for package in found]
    return {each.name: each.version for each in packages if each.files is None and each.has_metadata}


def _install_folders(environment: Environment) -> List[str]:
    """Where packages' files go, and nothing but packages'. An interpreter outside a venv shares its prefix (`/usr`,
    conda's) with other programs. Source of the names: the wheel format's `.data` folders."""
    if environment.prefix == environment.base_prefix:
        return list(environment.site_packages)
    data = [os.path.join(environment.prefix, name) for name in ("bin", "share", "etc", "include")]
    return [*environment.site_packages, *data]


def _top_of(path: str, roots: Iterable[str]) -> str:
    """The entry of site-packages that a path lies in; the path itself for what lies elsewhere."""
    for root in roots:
        if path.startswith(root + os.sep):
            return os.path.join(root, path[len(root) + 1 :].split(os.sep, 1)[0])
    return path


def _is_shared(folder: str) -> bool:
    """Whether several packages may have files in it (a namespace)."""
    if os.path.basename(folder).startswith((change_record.PREFIX, change_record.MAKING)):
        return False
    return os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "__init__.py"))


def _changed_at(path: str) -> float:
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0.0


def _entries(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _files_below(top: str) -> List[str]:
    if os.path.islink(top) or not os.path.isdir(top):
        return [top]
    found: List[str] = []
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if name != "__pycache__"]
        found += [os.path.join(folder, name) for name in files]
    return found
