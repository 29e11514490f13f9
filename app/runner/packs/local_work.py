"""Somebody's work in a checkout: changed files, and commits and stashes that exist only there.

What differs from the commit by modes (`chmod -R 777`), line ends or compiled files alone is nobody's work.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Iterable, List, Optional, Sequence, Set

from app.protocol.snapshot import Problem
from app.runner.machine.git import DIFF, Git

_HINT = "Commit and push the changes, or move the folder away, then start again."
_DIFF = ("-c", "core.fileMode=false", *DIFF, "-z", "--no-renames")
_COMPILED = re.compile(r"(?:^|/)__pycache__/|\.py[co]$")
_NUMBERS = re.compile(r"^(?:\d+|-)\t(?:\d+|-)\t")
_MOST_NAMED = 3
_MOST_KNOWN = 500
_AT_ONCE = 100
_FROM_REMOTE = re.compile(r"^([0-9a-f]{40}) (?:clone: |(?:pull|merge)\b.*: Fast-forward)")
_UNFINISHED = (
    ("merge", "merge", ("MERGE_HEAD",)),
    ("rebase", "rebase", ("rebase-merge", "rebase-apply")),
    ("cherry-pick", "cherry-pick", ("CHERRY_PICK_HEAD",)),
    ("revert", "revert", ("REVERT_HEAD",)),
)


def local_changes(git: Git, folder: Path) -> Optional[Problem]:
    """Why the checkout may not be changed: somebody's work is in its tracked files or commits. Its stashes are not
    touched by that. Where git cannot say, all counts as somebody's. Raises RunCancelled."""
    unfinished = _unfinished(git, folder)
    if unfinished:
        text = "A git %s was begun in the pack's folder and not finished. The folder was left untouched."
        hint = "Finish it, or take it back: git -C %s %s --abort. Then start again."
        return Problem("local_changes", text % unfinished, hint % (folder, unfinished))
    names: List[str] = []
    for part in ["", *submodules(git, folder)]:
        changed = [] if part and _was_never_checked_out(folder / part) else changed_files(git, folder / part)
        if changed is None:
            where = "its submodule %s" % part if part else "its folder"
            text = "git cannot say whether files of the pack were changed (in %s). They were left untouched."
            return Problem("local_changes", text % where, _HINT)
        names += [os.path.join(part, name) for name in changed]
    if names:
        text = "Files of the pack were changed on the instance: %s. They were left untouched."
        return Problem("local_changes", text % _named(names), _HINT)
    return own_work(git, folder, stashes=False)


def own_work(git: Git, folder: Path, *, stashes: bool = True) -> Optional[Problem]:
    """Why the checkout may not be removed: commits that only it has, or stashes, in it or in its submodules. Without
    `stashes`, why nothing else may be checked out in it. Raises RunCancelled."""
    for part in ["", *submodules(git, folder)]:
        own = _own_commits(git, folder / part)
        stashed = git.line("stash", "list", cwd=folder / part) if stashes else None
        if own or stashed:
            told = _subjects(git, folder / part, own) if own else (stashed or "").splitlines()
            text = "The pack's folder has commits or stashes that only the instance has: %s. They were left untouched."
            return Problem("local_changes", text % _named(told), _HINT)
    return None


def stashes_in_submodules(git: Git, folder: Path) -> Optional[Problem]:
    """Why a checkout may not be replaced though its own stashes go along: those of its submodules do not. Raises
    RunCancelled."""
    for part in submodules(git, folder):
        stashed = git.line("stash", "list", cwd=folder / part)
        if stashed:
            text = "The pack's submodule %s has stashes that exist only on the instance: %s. They were left untouched."
            return Problem("local_changes", text % (part, _named(stashed.splitlines())), _HINT)
    return None


def submodules(git: Git, checkout: Path) -> List[str]:
    """The paths of the submodules that are there, those of submodules too."""
    if not (checkout / ".gitmodules").exists():
        return []
    said = git.line("submodule", "foreach", "--quiet", "--recursive", "echo $displaypath", cwd=checkout) or ""
    return [path for path in said.splitlines() if (checkout / path / ".git").exists()]


def _was_never_checked_out(submodule: Path) -> bool:
    """A submodule whose commit could not be had was cloned, and has no file."""
    return os.listdir(str(submodule)) == [".git"]


def changed_files(git: Git, folder: Path) -> Optional[List[str]]:
    """The tracked files that somebody changed, submodules left out; None where git does not say. Raises
    RunCancelled."""
    if git.line("rev-parse", "--verify", "--quiet", "HEAD", cwd=folder) is None:
        return _names(git.ask("ls-files", "-z", "--cached", cwd=folder))  # no commit yet: what was added
    found: Set[str] = set()
    for where in ((), ("--cached",)):
        said = git.ask(*_DIFF, "--ignore-cr-at-eol", "--numstat", *where, "HEAD", "--", cwd=folder)
        lines = _names(said)
        if lines is None:
            return None
        found |= {_NUMBERS.sub("", line) for line in lines}
    return sorted(name for name in found if not _COMPILED.search(name))


def make_way(git: Git, folder: Path, to: str) -> List[str]:
    """Removes the files that stand in the way of a checkout of `to` though nobody changed them, so that git writes
    them anew: call it only where `changed_files` found nothing. Their names. Raises OSError."""
    differ = _names(git.ask(*_DIFF, "--name-only", "HEAD", "--", cwd=folder)) or []
    coming = set(_names(git.ask(*_DIFF, "--name-only", "HEAD", to, "--", cwd=folder)) or [])
    names = [name for name in differ if name in coming and os.path.lexists(str(folder / name))]
    for name in names:
        os.unlink(str(folder / name))
    for start in range(0, len(names), _AT_ONCE):
        git.local("reset", "-q", "HEAD", "--", *names[start : start + _AT_ONCE], cwd=folder)
    return names


def bring_back(git: Git, folder: Path, names: Sequence[str]) -> None:
    """The files that `make_way` removed, where the checkout failed."""
    for start in range(0, len(names), _AT_ONCE):
        git.local("checkout", "-q", "HEAD", "--", *names[start : start + _AT_ONCE], cwd=folder)


def _unfinished(git: Git, folder: Path) -> str:
    own = git.line("rev-parse", "--absolute-git-dir", cwd=folder)
    if not own:
        return ""
    return next((name for name, _, files in _UNFINISHED if any((Path(own) / file).exists() for file in files)), "")


def _own_commits(git: Git, folder: Path) -> Set[str]:
    """Commits that no remote branch or tag has, or had. The edge of a shallow clone came from the remote."""
    asked = ("rev-list", "HEAD", "--branches", "--not", "--remotes", "--tags")
    own = set((git.line(*asked, cwd=folder) or "").split())
    boundary = git.line("rev-parse", "--git-path", "shallow", cwd=folder) or ""
    path = folder / boundary
    own -= set(path.read_text("ascii", "replace").split() if boundary and path.is_file() else ())
    if not own:
        return own
    known = _once_remote(git, folder)
    said = git.line("rev-list", "--ignore-missing", *asked[1:], *known, cwd=folder) if known else None
    return own if said is None else own & set(said.split())


def _once_remote(git: Git, folder: Path) -> List[str]:
    """What remote branches pointed to before they were moved by force or deleted, by git's own notes (reflogs)."""
    known: List[str] = []
    remote = git.line("for-each-ref", "--format=%(refname)", "refs/remotes", cwd=folder) or ""
    for name in remote.splitlines()[:100]:
        known += (git.line("log", "-g", "--format=%H", name, "--", cwd=folder) or "").split()
    noted = git.line("log", "-g", "--format=%H %gs", "HEAD", "--", cwd=folder) or ""
    known += [found.group(1) for found in map(_FROM_REMOTE.match, noted.splitlines()) if found]
    return list(dict.fromkeys(known))[:_MOST_KNOWN]


def _subjects(git: Git, folder: Path, commits: Iterable[str]) -> List[str]:
    some = sorted(commits)
    said = git.line("log", "--no-walk", "--format=%h %s", *some[:20], "--", cwd=folder) or ""
    return [*said.splitlines(), *some[20:]]


def _names(said: Optional[bytes]) -> Optional[List[str]]:
    return None if said is None else [os.fsdecode(name) for name in said.split(b"\0") if name]


def _named(names: Sequence[str]) -> str:
    """The first few, for a sentence: pack files and subjects of commits are strangers' words."""
    more = " and %d more" % (len(names) - _MOST_NAMED) if len(names) > _MOST_NAMED else ""
    some = ["".join(c if c.isprintable() else "?" for c in name[:120]) for name in names[:_MOST_NAMED]]
    return ", ".join(some) + more
