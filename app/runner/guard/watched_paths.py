"""The files that no pack's code has to write: ComfyUI's own code, other packs, and what runs or logs in by itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import AbstractSet, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

MOST_FILES = 300_000
"""Of one place: a pack, ComfyUI, or the machine. One with more is looked at so far, which is told."""
NEVER = 1 << 63
DATA = frozenset({"models", "input", "output", "temp", "user", "custom_nodes"})
"""Folders of ComfyUI's that packs write to as a matter of course."""
HOME = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile"),
    *(".ssh", ".gitconfig", ".config/git", ".netrc", ".pip", ".config/pip", ".config/uv", ".config/systemd/user"),
    *(".config/autostart", ".local/state/nodeferry/bin", ".local/state/nodeferry/tools/uv/bin"),
    *(".bash_aliases", ".config/environment.d", ".config/fish", ".pam_environment", ".condarc", ".cargo/config.toml"),
)
SYSTEM = (
    *("passwd", "shadow", "group", "sudoers", "sudoers.d", "crontab", "cron.d", "cron.hourly", "cron.daily"),
    *("cron.weekly", "cron.monthly", "profile", "profile.d", "bash.bashrc", "environment", "ld.so.preload", "hosts"),
    *("ssh", "systemd/system", "init.d", "rc.local", "supervisor", "pip.conf", "gitconfig", "apt"),
    *("ld.so.conf", "ld.so.conf.d", "pam.d", "doas.conf", "anacrontab", "uv"),
)
"""In /etc."""
_OTHERS = ("/var/spool/cron",)
_IGNORED = frozenset({"__pycache__", "node_modules", "known_hosts", ".git"})
_IGNORED_ENDINGS = (".pyc", ".log", ".compiled", ".new", ".tmp", ".lock")
_OF_GIT = ("config", "config.worktree", "commondir", "hooks", "info", "modules")
"""Of a repository: what makes git run something. The rest of it changes whenever git looks at it."""
_OF_MODULES = frozenset({"objects", "refs", "logs", "lfs", "HEAD", "index", "packed-refs", "FETCH_HEAD", "ORIG_HEAD"})
"""Of a submodule's repository: what changes whenever git looks at it."""

_TICK_NS = 20_000_000
"""How far apart the kernel's times of one change may be."""


class Change(NamedTuple):
    """A file, or a folder (with a slash behind it) from which something may have gone."""

    path: str
    device: int
    changed_ns: int


class Look:
    """One look at places. Links are not followed."""

    def __init__(self, since_ns: int, known: Optional[Mapping[str, int]] = None) -> None:
        """`since_ns`: what has not changed since then is not given; `NEVER` to learn what there is. `known`: what
        such a look has found in folders."""
        self._since = since_ns
        self._known = known or {}
        self._left = 0
        self.found: Dict[str, int] = {}
        """A number for what each folder is and has, but for what is not looked at."""
        self.incomplete: List[str] = []
        """The places with too many files."""

    def comfyui(self, ui_home: Path, prefix: str) -> Iterator[Change]:
        """ComfyUI's own code. `prefix`: of its Python environment, which may lie in it."""
        return self._place(str(ui_home), skipped=DATA, prefix=os.path.realpath(prefix) if prefix else "")

    def pack(self, folder: str) -> Iterator[Change]:
        """One pack; a link to its folder is followed."""
        return self._place(os.path.realpath(folder) if os.path.islink(folder) else folder)

    def machine(self, home: Path) -> Iterator[Change]:
        """What runs or logs in by itself."""
        self._left = MOST_FILES
        for path in [*(str(home / name) for name in HOME), *("/etc/" + name for name in SYSTEM), *_OTHERS]:
            yield from self._path(path)

    def _place(self, top: str, skipped: AbstractSet[str] = frozenset(), prefix: str = "") -> Iterator[Change]:
        self._left = MOST_FILES
        yield from self._folder(top, skipped, prefix)
        if self._left <= 0:
            self.incomplete.append(top)

    def _path(self, path: str) -> Iterator[Change]:
        try:
            about = os.lstat(path)
        except OSError:
            return
        if stat.S_ISDIR(about.st_mode):
            yield from self._folder(path, _OF_MODULES if path.endswith("/.git/modules") else frozenset())
        elif about.st_ctime_ns > self._since:
            yield Change(path, about.st_dev, about.st_ctime_ns)

    def _folder(self, top: str, skipped: AbstractSet[str] = frozenset(), prefix: str = "") -> Iterator[Change]:
        """What has changed in a folder and below it, and the folders from which something has gone."""
        folders: List[str] = [top]
        while folders and self._left > 0:
            folder = folders.pop()
            try:
                about = os.lstat(folder)
                with os.scandir(folder) as opened:
                    entries = list(opened)
            except OSError:
                continue
            names = {entry.name for entry in entries}
            if names & {"pyvenv.cfg", "conda-meta"} or (prefix and os.path.realpath(folder) == prefix):
                continue  # a Python environment, which the guard compares
            everywhere = skipped if skipped is _OF_MODULES or folder == top else frozenset()
            changed, below = self._entries(entries, everywhere)
            folders += below
            if ".git" in names and os.path.isdir(os.path.join(folder, ".git")):
                for name in _OF_GIT:
                    changed += self._path(os.path.join(folder, ".git", name))
            yield from changed
            self.found[folder] = _number_of(about, entries)
            if about.st_ctime_ns > self._since and not self._is_of_ignored(folder, entries, about.st_ctime_ns):
                yield Change(folder + "/", about.st_dev, about.st_ctime_ns)

    def _entries(self, entries: List[os.DirEntry[str]], skipped: AbstractSet[str]) -> Tuple[List[Change], List[str]]:
        """The files of a folder that have changed, and the folders in it."""
        changed: List[Change] = []
        below: List[str] = []
        self._left -= len(entries)
        for entry in entries:
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
                if _is_ignored(entry.name, is_folder=is_folder) or entry.name in skipped:
                    continue
                if is_folder:
                    below.append(entry.path)
                elif self._since != NEVER and not _is_special(entry):
                    about = entry.stat(follow_symlinks=False)
                    if about.st_ctime_ns > self._since:
                        changed.append(Change(entry.path, about.st_dev, about.st_ctime_ns))
            except OSError:
                continue
        return changed, below

    def _is_of_ignored(self, folder: str, entries: List[os.DirEntry[str]], changed_ns: int) -> bool:
        """Whether a folder changed since something was made in it that is not looked at, and for nothing else."""
        if folder in self._known and self._known[folder] != self.found[folder]:
            return False
        for entry in entries:
            if _is_ignored(entry.name, is_folder=True) or _is_special(entry):
                try:
                    if entry.stat(follow_symlinks=False).st_ctime_ns >= changed_ns - _TICK_NS:
                        return True
                except OSError:
                    continue
        return False


def _is_ignored(name: str, *, is_folder: bool) -> bool:
    if name == ".git":
        return is_folder  # a file of this name leads git elsewhere
    return name in _IGNORED or name.endswith(_IGNORED_ENDINGS)


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether it is a socket, a pipe or a device: programs that run make them."""
    return not (entry.is_symlink() or entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False))


def _number_of(about: os.stat_result, entries: List[os.DirEntry[str]]) -> int:
    """Another number for another folder, one that has other names, or another repository."""
    names = [each.name for each in entries if not (_is_ignored(each.name, is_folder=False) or _is_special(each))]
    repositories = [each.inode() for each in entries if each.name == ".git"]
    return hash((about.st_ino, frozenset(names), *repositories))
