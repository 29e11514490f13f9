"""What a git that was killed leaves in a checkout: locks, and a `.git` that cannot be read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import List, Optional

from app.protocol.deciding_line import deciding_line
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.hints.uv_words import shortened
from app.runner.machine.git import Git

_OLD_SECONDS = 60.0
_MOST_ENTRIES = 5000
_SKIPPED = ("objects", "lfs", "hooks", "logs")
_HINT = 'Start again with "existing": "reinstall": the old folder is then kept in custom_nodes/.disabled.'


def remove_locks(context: Context, folder: Path) -> None:
    """Removes the locks that no git holds any more, its submodules' too, and says so. Raises OSError."""
    locks = _locks(folder / ".git")
    now = time.time()
    old = [lock for lock in locks if now - lock.lstat().st_mtime > _OLD_SECONDS]
    if not old or _git_works_in(folder):
        return
    for lock in old:
        lock.unlink()
    text = "A git that was killed had left locks in custom_nodes/%s: %s. They were removed."
    names = ", ".join(os.path.relpath(str(lock), str(folder))[:120] for lock in old[:3])
    context.warn("stale_lock_removed", text % (folder.relative_to(context.custom_nodes).as_posix(), names))


def origin(git: Git, folder: Path) -> str:
    """Where a checkout comes from: its `origin`, else its only remote, also where git cannot read the rest of it; empty
    where it has neither."""
    file = folder / ".git" / "config"
    for where in ([], ["--file", str(file)] if file.is_file() else []):
        found = git.line("config", *where, "--get", "remote.origin.url", cwd=folder)
        said = found or git.line("config", *where, "--get-regexp", r"^remote\..*\.url$", cwd=folder) or ""
        remotes = [found] if found else [line.partition(" ")[2] for line in said.splitlines()]
        if len(remotes) == 1:
            return remotes[0]
    return ""


def damage(git: Git, folder: Path) -> Optional[Problem]:
    """What of a checkout git cannot read: its `.git`, its commit or its index. A clone that broke off before its first
    commit is no damage."""
    finished = git.local("rev-parse", "--git-dir", cwd=folder)
    if finished.ok:
        finished = git.local("ls-files", "--cached", "--", "nodeferry-no-such-file", cwd=folder)
    if finished.ok and git.head(folder):
        finished = git.local(
            "-c",
            "core.fileMode=false",
            "diff",
            "--quiet",
            "--no-ext-diff",
            "--no-textconv",
            "--ignore-submodules=all",
            "HEAD",
            cwd=folder,
        )
        if finished.code == 1 and not finished.stopped:
            return None  # files differ
    elif finished.ok and not _is_unborn(git, folder):
        finished = git.local("rev-parse", "--verify", "HEAD", cwd=folder)
    if finished.ok:
        return None
    words = shortened(deciding_line(finished.output)) or "it says nothing"
    text = "git cannot read the pack's .git folder, which is damaged (%s). The folder was left untouched."
    return Problem("broken_checkout", text % words, _HINT)


def _is_unborn(git: Git, folder: Path) -> bool:
    """Whether HEAD names a branch that has no commit yet."""
    branch = git.line("symbolic-ref", "--quiet", "HEAD", cwd=folder)
    return bool(branch) and not (folder / ".git" / str(branch)).exists()


def _locks(own: Path) -> List[Path]:
    """Those in a `.git` folder; of at most 5,000 entries."""
    found: List[Path] = []
    waiting, seen = [own], 0
    while waiting and seen < _MOST_ENTRIES:
        try:
            with os.scandir(str(waiting.pop())) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False) and entry.name not in _SKIPPED:
                        waiting.append(Path(entry.path))
                    elif entry.name.endswith(".lock") and entry.is_file(follow_symlinks=False):
                        found.append(Path(entry.path))
        except OSError:
            continue
    return found


def _git_works_in(folder: Path) -> bool:
    """Whether a git runs there; one of which that cannot be said counts as one that does."""
    root = os.path.realpath(str(folder))
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name = Path("/proc", pid, "comm").read_text("utf-8", "replace")
            if not name.startswith("git"):
                continue
            where = os.readlink("/proc/%s/cwd" % pid)
        except PermissionError:
            return True
        except OSError:
            continue  # it has ended
        if where == root or where.startswith(root + os.sep):
            return True
    return False
