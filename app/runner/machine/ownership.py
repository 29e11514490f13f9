"""Whose ComfyUI is, where root logs in and another user runs it; and giving that user what the run made as root."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterator, List, Optional, Tuple

from app.runner.environment.environment import Environment
from app.runner.machine.layout import running_with
from app.runner.process.paths import Task
from app.runner.process.user import User, user_of_account, user_of_process

_DEEPEST = 64
"""Folders within folders. A deeper one is left as it is: each level keeps a file open."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTRY = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
Inode = Tuple[int, int]


@dataclass(frozen=True)
class ComfyUser:
    """As whom ComfyUI runs. `seen`: it runs just now; otherwise its folder's owner is taken for it."""

    user: User
    seen: bool = False


def comfyui_user(ui_home: Path, base: Optional[Path] = None) -> ComfyUser:
    """As whom the ComfyUI in this folder runs, with this base directory.

    A running ComfyUI is the proof, and the owner of its folder is only a guess: images unpack ComfyUI as one user and
    run it as another. Where several run, one that is not root's counts, since root can read what is anybody's."""
    running = [user_of_process(process.pid) for process in running_with(ui_home, base)]
    users = sorted(filter(None, running), key=lambda user: user.uid == 0)
    if users:
        return ComfyUser(users[0], seen=True)
    about = (base or ui_home).stat()
    return ComfyUser(user_of_account(about.st_uid, about.st_gid))


def files_owner(ui_home: Path, comfy: ComfyUser) -> Tuple[int, int]:
    """Who gets the run's files: user and group.

    That is the user who runs ComfyUI, who has to read them, write packs' settings and update packs; in the group of
    ComfyUI's folder where the user is in it. A ComfyUI that root runs reads everything, so its files go to the owner of
    its folder, to whom all others in it belong."""
    about = ui_home.stat()
    user = comfy.user
    if user.uid in (0, about.st_uid):
        return about.st_uid, about.st_gid
    return user.uid, about.st_gid if about.st_gid in (user.gid, *user.groups) else user.gid


class Ownership:
    """Gives away what the run made. Files of before the run keep their owner, whoever that is."""

    def __init__(
        self,
        ui_home: Path,
        first: os.stat_result,
        warn: Callable[[str, str, str], None],
        *,
        base: Optional[Path] = None,
        custom_nodes: Optional[Path] = None,
    ) -> None:
        """`first`: of what the run made first in `custom_nodes`. It tells when the run began, also by the clock of a
        network volume, and whose root's files are there: such a volume may map root to nobody. `base`, `custom_nodes`:
        where they are not ComfyUI's own folder and the one in it."""
        self._ui_home = Path(os.path.realpath(str(ui_home)))
        self._base = Path(os.path.realpath(str(base or ui_home)))
        self._packs = Path(os.path.realpath(str(custom_nodes or self._base / "custom_nodes")))
        self.warn = warn
        self._warned = False
        self._began = min(first.st_ctime_ns, time.time_ns())
        self._made_by = frozenset((0, first.st_uid))
        self.comfy = comfyui_user(ui_home, base)
        self._owner = files_owner(base or ui_home, self.comfy)

    @property
    def is_given(self) -> bool:
        """Whether the run's files belong to somebody else: the runner is root, and the owner is not."""
        return os.geteuid() == 0 and self._owner != (0, 0)

    @property
    def user(self) -> Optional[User]:
        """As whom ComfyUI runs, where the runner is root and it is not."""
        return self.comfy.user if os.geteuid() == 0 and self.comfy.user.uid != 0 else None

    def environ(self) -> Dict[str, str]:
        """What every child of the run gets. Hard links would share root's cache with ComfyUI's user, who could change
        what root installs next. Compiled files would be root's, and keep that user from updating a package."""
        return {"UV_LINK_MODE": "copy", "PYTHONDONTWRITEBYTECODE": "1"} if self.is_given else {}

    def give(self, folder: Path) -> None:
        """A folder that the run made, or whose files git wrote anew, with everything in it that is root's."""
        self._walk(folder, _Walk(self._owner, self._made_by, 0))

    def give_new(self, folder: Path) -> None:
        """What the run made in a folder."""
        self._walk(folder, _Walk(self._owner, self._made_by, self._began))

    def give_all_new(self, environment: Optional[Environment]) -> None:
        """What the run made anywhere: in ComfyUI's folder, where links in it lead, in the Python environment, and in
        the cache of a home that is ComfyUI's user's."""
        if not self.is_given:
            return
        prefix = Path(environment.prefix) if environment else None
        skipped = frozenset((_inode(prefix.stat()),)) if prefix and prefix.is_dir() else frozenset()
        for top in self._tops():
            self._walk(top, _Walk(self._owner, self._made_by, self._began, skipped=skipped))
        for folder in [*self._linked(), *self._cache()]:
            self._walk(folder, _Walk(self._owner, self._made_by, self._began, skipped=skipped, only_theirs=True))
        for folder in _package_folders(environment) if environment else ():
            rule = _Walk(self._owner, self._made_by, self._began, only_theirs=True, packages=True)
            self._walk(folder, rule)

    def _tops(self) -> List[Path]:
        """ComfyUI's folders, without those that lie in another of them."""
        tops = {self._ui_home, self._base, self._packs}
        return [top for top in tops if not tops & set(top.parents)]

    def _linked(self) -> Iterator[Path]:
        """Folders that models, packs and the like are kept in, elsewhere on the machine."""
        for folder in (self._base, self._packs, self._base / "models"):
            try:
                with os.scandir(str(folder)) as entries:
                    links = [entry.path for entry in entries if entry.is_symlink() and entry.is_dir()]
            except OSError:
                continue  # it does not exist, or leads in a circle
            yield from (Path(os.path.realpath(path)) for path in links)

    def _cache(self) -> List[Path]:
        """Scripts download models to the login's cache. Where the login's home is ComfyUI's user's, they share it."""
        home = Path(os.path.expanduser("~"))
        shared = home.is_dir() and home.stat().st_uid == self._owner[0]
        return [home / ".cache"] if shared else []

    def _walk(self, folder: Path, walk: _Walk) -> None:
        """A file system that refuses (a network volume) is told once, and stops nothing."""
        if not self.is_given:
            return
        try:
            walk.begin(folder)
        except OSError as exc:
            if not self._warned:
                self._warned = True
                text = "New files belong to root: they could not be given to %s, whose ComfyUI this is (%s)."
                hint = "If ComfyUI cannot use them, run on the instance: chown -R %d:%d %s"
                user = user_of_account(*self._owner)
                self.warn("owner_not_set", text % (user, exc.strerror), hint % (*self._owner, self._ui_home))


class _Walk:
    """One walk through a folder. It follows no link and opens each entry before it looks at it, so that nobody can put
    another one in its place.

    A file with several names is left to root, since one of them may lie elsewhere: in uv's cache, or in /etc. So are
    files with the set-user-ID bit, and devices."""

    def __init__(
        self,
        owner: Tuple[int, int],
        made_by: FrozenSet[int],
        since: int,
        *,
        skipped: FrozenSet[Inode] = frozenset(),
        only_theirs: bool = False,
        packages: bool = False,
    ) -> None:
        """`since`: what was not changed after that, in nanoseconds, is older than the run. `only_theirs`: what lies in
        somebody else's folder stays root's. `packages`: Python packages that did not change are not looked into, and
        what stays root's can be read by everybody: root's umask may have been 077 when uv filled its cache."""
        self._owner, self._made_by, self._since = owner, made_by, since
        self._skipped, self._only_theirs, self._packages = skipped, only_theirs, packages

    def begin(self, top: Path) -> None:
        """Gives away. Raises OSError when the file system refuses."""
        try:
            folder = os.open(str(top), _FOLDER)
        except OSError:
            return  # it is gone, or no folder
        try:
            if _inode(os.fstat(folder)) in self._skipped:
                return
            theirs = not self._only_theirs or top.parent.stat().st_uid == self._owner[0]
            self._give(folder, theirs=theirs)
            self._look_into(folder, _DEEPEST)
        finally:
            os.close(folder)

    def _look_into(self, folder: int, levels: int) -> None:
        """A folder to which nothing was added or moved since then has only older files. Its folders may have new
        ones."""
        about = os.fstat(folder)
        changed = about.st_ctime_ns >= self._since
        theirs = not self._only_theirs or about.st_uid == self._owner[0]
        with os.scandir(folder) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        if self._packages and not changed and ("__init__.py", False) in listed:
            return
        for name, is_folder in listed:
            if is_folder or changed:
                self._visit(folder, name, levels, changed=changed, theirs=theirs)

    def _visit(self, parent: int, name: str, levels: int, *, changed: bool, theirs: bool) -> None:
        try:
            entry = os.open(name, _ENTRY, dir_fd=parent)
        except OSError:
            return  # it is gone
        try:
            about = os.fstat(entry)
            if _inode(about) in self._skipped:
                return
            if changed:
                self._give(entry, theirs=theirs)
            if stat.S_ISDIR(about.st_mode) and levels:
                folder = os.open(".", _FOLDER, dir_fd=entry)
                try:
                    self._look_into(folder, levels - 1)
                finally:
                    os.close(folder)
        finally:
            os.close(entry)

    def _give(self, entry: int, *, theirs: bool) -> None:
        about = os.fstat(entry)
        if about.st_uid not in self._made_by or about.st_ctime_ns < self._since or not _may_be_given(about):
            return
        path, mode = "/proc/self/fd/%d" % entry, stat.S_IMODE(about.st_mode)
        readable = mode | (0o555 if mode & 0o100 else 0o444)
        if theirs:
            if (about.st_uid, about.st_gid) != self._owner:
                os.chown(path, *self._owner)
        elif self._packages and not stat.S_ISLNK(about.st_mode) and readable != mode:
            os.chmod(path, readable)


def _may_be_given(about: os.stat_result) -> bool:
    if stat.S_ISREG(about.st_mode):
        return about.st_nlink == 1 and not about.st_mode & (stat.S_ISUID | stat.S_ISGID)
    return stat.S_ISDIR(about.st_mode) or stat.S_ISLNK(about.st_mode)


def _inode(about: os.stat_result) -> Inode:
    return about.st_dev, about.st_ino


def _package_folders(environment: Environment) -> List[Path]:
    """A virtual environment as a whole; of the system's own, what installers write to."""
    prefix = Path(environment.prefix)
    if environment.prefix != environment.base_prefix:
        return [Path(os.path.realpath(str(prefix)))]
    folders = [path for path in environment.paths if os.path.basename(path) in _PACKAGE_FOLDERS]
    return [Path(os.path.realpath(path)) for path in [*folders, str(prefix / "bin")]]


def give_after_death(task: Task) -> None:
    """What a killed run left as root's. Its folder in ComfyUI's was on record before it was made."""
    recorded = task.folder / "staging"
    try:
        packs = Path(recorded.read_text("utf-8", "surrogateescape")).parent
        ui_home, base = task.comfyui or (packs.parent, packs.parent)
        made = Ownership(ui_home, recorded.stat(), lambda _code, _text, _hint: None, base=base, custom_nodes=packs)
        made.give_all_new(None)
    except OSError:
        return  # it had not come so far, or ComfyUI is gone
