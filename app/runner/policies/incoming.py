"""What has come is looked at before it is put in place: whether it is known to be malicious, and what ComfyUI would run
of it at each start."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional, Tuple

from app.protocol.snapshot import Problem
from app.runner.context import Context, PackResult
from app.runner.machine.git import Git
from app.runner.policies.known_bad import problem_of_checkout
from app.runner.policies.prestartup import Prestartups
from app.runner.policies.withheld import withheld

_Held = Dict[str, Tuple[Optional[str], Optional[Problem]]]


def look_at(context: Context, result: PackResult, folder: Path) -> None:
    """Sets `result.problem`, without a commit, where the pack in `folder` may not be there. Raises OSError."""
    problem = problem_of_checkout(context, result.pack.name, result.commit, folder)
    problem = problem or Prestartups.of(context).problem(result, folder)
    if problem is not None:
        if result.held:
            _held(context)[result.pack.name] = result.commit, result.incomplete
        elif result.kept:
            withheld(context).add(result.folder.name)
        result.problem, result.commit, result.version = problem, None, None


def resume(context: Context, result: PackResult, folder: Path) -> bool:
    """Whether the pack was cloned into `folder` before its question was asked; then its commit is set again."""
    if not folder.is_dir() or result.pack.name not in _held(context):
        return False
    result.commit, result.incomplete = _held(context).pop(result.pack.name)
    return True


def look_at_update(context: Context, git: Git, result: PackResult, before: Tuple[Optional[str], Optional[str]]) -> None:
    """The same after an update in place; what may not be there is taken back. `before`: the branch and the commit of
    the folder. Raises OSError, RunCancelled."""
    if result.problem is not None:
        return
    look_at(context, result, result.folder)
    if result.commit is None:
        _take_back(git, result, *before)
        _held(context).pop(result.pack.name, None)


def _take_back(git: Git, result: PackResult, branch: Optional[str], commit: Optional[str]) -> None:
    if commit is None:
        return
    if branch and git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=result.folder) != branch:
        git.local("checkout", "-q", "--force", branch, cwd=result.folder)
    git.local("reset", "-q", "--hard", commit, cwd=result.folder)


def _held(context: Context) -> _Held:
    found = context.shared.setdefault("held_clones", {})
    assert isinstance(found, dict)
    return found
