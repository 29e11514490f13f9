"""What lies in a pack's folder besides its commit: files that git does not track, and tracked ones that were changed.

A list of them from before a run and one from after it tell what the run made, and what is somebody's own.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Dict, Iterator, List, Set

from app.runner.machine.git import DIFF, Git
from app.runner.packs.local_work import submodules

WorktreeState = Dict[str, List[int]]
"""By path in the folder: size and time of the last change in ns; a folder's (a repository in the pack) are those of
all that is in it. A tracked file that is gone has [-1, 0]."""

_GONE = [-1, 0]


def worktree_state(git: Git, checkout: Path) -> WorktreeState:
    """The traces in a checkout, its submodules' too. Raises OSError when git does not say, RunCancelled."""
    found: WorktreeState = {}
    for part in ["", *submodules(git, checkout)]:
        for name in {*git.untracked(checkout / part), *changed(git, checkout / part)}:
            if "__pycache__" not in name:
                path = os.path.join(part, name)
                found[path] = look(checkout / path)
    return found


def files_state(folder: Path) -> WorktreeState:
    """The same of all files in a folder that is no checkout."""
    found: WorktreeState = {}
    for where, names, files in os.walk(str(folder)):
        names[:] = [name for name in names if name != "__pycache__"]
        links = [name for name in names if os.path.islink(os.path.join(where, name))]
        for name in [*files, *links]:
            path = Path(where, name)
            found[path.relative_to(folder).as_posix()] = look(path)
    return found


def changed(git: Git, checkout: Path) -> Set[str]:
    """The tracked files that are not as in the commit. Raises OSError when git does not say."""
    said = git.ask(*DIFF, "--name-only", "-z", "HEAD", cwd=checkout)
    if said is None:
        raise OSError(0, "git could not compare %s with its commit" % checkout)
    return {os.fsdecode(name) for name in said.split(b"\0") if name}


def look(path: Path) -> List[int]:
    """Size and time of the last change of what lies there."""
    try:
        found = os.lstat(str(path))
    except OSError:
        return list(_GONE)
    if not stat.S_ISDIR(found.st_mode):
        return [found.st_size, found.st_mtime_ns]
    each = [[inner.st_size, inner.st_mtime_ns] for inner in _below(path)]
    return [sum(size for size, _ in each), max((changed_at for _, changed_at in each), default=0)]


def _below(folder: Path) -> Iterator[os.stat_result]:
    """All files; not what git rewrites when it only looks."""
    for where, names, files in os.walk(str(folder)):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            if not (name == "index" and os.path.basename(where) == ".git"):
                yield os.lstat(os.path.join(where, name))
