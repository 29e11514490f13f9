"""Stashes of a checkout that is replaced: they go along to its successor. ComfyUI-Manager makes one at each update of a
pack with changed files."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from app.protocol.snapshot import Problem
from app.runner.machine.git import Git

_MOST = 100
_KEPT = "refs/nodeferry/stash-%d"


def carry_over(git: Git, old: Path, new: Path) -> Optional[Problem]:
    """Brings the stashes of `old` to `new`, in their order; why that did not work. Raises RunCancelled."""
    said = git.line("stash", "list", "--format=%H %gs", cwd=old) or ""
    stashes = said.splitlines()
    if not stashes:
        return None
    done = len(stashes) <= _MOST
    for number, line in enumerate(reversed(stashes)):  # the newest one last, so that it is on top again
        commit, _, subject = line.partition(" ")
        kept = _KEPT % number
        done = done and git.local("update-ref", kept, commit, cwd=old).ok
        spec = "+%s:%s" % (kept, kept)
        done = done and git.fetch_from(old, spec, cwd=new).ok
        done = done and git.local("stash", "store", "-q", "-m", subject or "stash", commit, cwd=new).ok
        git.local("update-ref", "-d", kept, cwd=new)
        git.local("update-ref", "-d", kept, cwd=old)
    if done:
        return None
    text = "The pack's folder has stashes that could not be carried over (%s). They were left untouched."
    hint = "Look at them on the instance: git -C %s stash list. Apply or drop them, then start again."
    return Problem("local_changes", text % stashes[0].partition(" ")[2][:120], hint % old)
