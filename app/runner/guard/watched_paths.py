"""The files that no pack's code has to write: ComfyUI's own code, other packs, and what runs or logs in by itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import AbstractSet, Iterator, List, NamedTuple, Tuple

MOST_FILES = 300_000
"""Of one look. A tree with more is looked at so far; the log says so."""
DATA = frozenset({"models", "input", "output", "temp", "user", "custom_nodes"})
"""Folders of ComfyUI's that packs write to as a matter of course."""
HOME = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile"),
    *(".ssh", ".gitconfig", ".config/git", ".netrc", ".pip", ".config/pip", ".config/uv", ".config/systemd/user"),
    *(".config/autostart", ".local/state/nodeferry/bin", ".local/state/nodeferry/tools/uv/bin"),
)
SYSTEM = (
    *("passwd", "shadow", "group", "sudoers", "sudoers.d", "crontab", "cron.d", "cron.hourly", "cron.daily"),
    *("cron.weekly", "cron.monthly", "profile", "profile.d", "bash.bashrc", "environment", "ld.so.preload", "hosts"),
    *("ssh", "systemd/system", "init.d", "rc.local", "supervisor", "pip.conf", "gitconfig", "apt"),
)
"""In /etc."""
_OTHERS = ("/var/spool/cron",)
_IGNORED = frozenset({"__pycache__", "node_modules", "known_hosts", ".git"})
_IGNORED_ENDINGS = (".pyc", ".log", ".compiled", ".new", ".tmp", ".lock")
_OF_GIT = ("config", "hooks", "info")
"""Of a repository: what makes git run something. The rest of it changes whenever git looks at it."""

_TICK_NS = 20_000_000
"""How far apart the kernel's times of one change may be."""


class Change(NamedTuple):
    """A file, or a folder (with a slash behind it) from which something may have gone."""

    path: str
    device: int
    changed_ns: int


class Look:
    """One look at places. Links are not followed."""

    def __init__(self, since_ns: int) -> None:
        """`since_ns`: what has not changed since then is not given."""
        self._since = since_ns
        self.left = MOST_FILES

    def comfyui(self, ui_home: Path, prefix: str) -> Iterator[Change]:
        """ComfyUI's own code. `prefix`: of its Python environment, which may lie in it."""
        return self._folder(str(ui_home), skipped=DATA, prefix=os.path.realpath(prefix) if prefix else "")

    def pack(self, folder: str) -> Iterator[Change]:
        """One pack; a link to its folder is followed."""
        return self._folder(os.path.realpath(folder) if os.path.islink(folder) else folder)

    def machine(self, home: Path) -> Iterator[Change]:
        """What runs or logs in by itself."""
        for path in [*(str(home / name) for name in HOME), *("/etc/" + name for name in SYSTEM), *_OTHERS]:
            yield from self._path(path)

    def _path(self, path: str) -> Iterator[Change]:
        try:
            about = os.lstat(path)
        except OSError:
            return
        if stat.S_ISDIR(about.st_mode):
            yield from self._folder(path)
        elif about.st_ctime_ns > self._since:
            yield Change(path, about.st_dev, about.st_ctime_ns)

    def _folder(self, top: str, skipped: AbstractSet[str] = frozenset(), prefix: str = "") -> Iterator[Change]:
        """What has changed in a folder and below it, and the folders from which something has gone."""
        folders: List[str] = [top]
        while folders and self.left > 0:
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
            changed, below = self._entries(entries, skipped if folder == top else frozenset())
            folders += below
            if ".git" in names and os.path.isdir(os.path.join(folder, ".git")):
                for name in _OF_GIT:
                    changed += self._path(os.path.join(folder, ".git", name))
            yield from changed
            if about.st_ctime_ns > self._since and not self._is_of_ignored(entries, about.st_ctime_ns):
                yield Change(folder + "/", about.st_dev, about.st_ctime_ns)

    def _entries(self, entries: List[os.DirEntry[str]], skipped: AbstractSet[str]) -> Tuple[List[Change], List[str]]:
        """The files of a folder that have changed, and the folders in it."""
        changed: List[Change] = []
        below: List[str] = []
        self.left -= len(entries)
        for entry in entries:
            name = entry.name
            if name in _IGNORED or name in skipped or name.endswith(_IGNORED_ENDINGS):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                    continue
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if about.st_ctime_ns > self._since and not stat.S_ISSOCK(about.st_mode):
                changed.append(Change(entry.path, about.st_dev, about.st_ctime_ns))
        return changed, below

    def _is_of_ignored(self, entries: List[os.DirEntry[str]], changed_ns: int) -> bool:
        """Whether a folder changed since something was made in it that is not looked at."""
        for entry in entries:
            try:
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            is_ignored = entry.name in _IGNORED or entry.name.endswith(_IGNORED_ENDINGS) or stat.S_ISSOCK(about.st_mode)
            if is_ignored and about.st_ctime_ns >= changed_ns - _TICK_NS:
                return True
        return False
