"""A pack whose folder is there already: kept, updated or installed anew, as asked. Nothing of the user's is lost.

Another repository, or local changes in tracked files, is a failure with a hint; untracked files are kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable, Optional

from app.protocol.repo_url import same_repo
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner import reasons
from app.runner.context import Context, PackResult
from app.runner.git import Git


def is_there(folder: Path) -> bool:
    """Whether something is in the way of a clone. An empty folder is not."""
    if folder.is_dir() and not folder.is_symlink():
        return any(folder.iterdir())
    return os.path.lexists(str(folder))


def settle(context: Context, result: PackResult, clone: Callable[[], None]) -> None:
    """Does what `options.existing` says; `clone` clones into staging. Sets `commit`, `kept` or `problem`."""
    git = context.git(context.task.node_log(result.pack.name))
    wanted = context.options.get("existing", "keep")
    result.problem = _foreign(git, result)
    if result.problem is not None:
        return
    if wanted == "keep":
        _keep(context, git, result)
        return
    result.problem = _local_changes(git, result.folder)
    if result.problem is None:
        if wanted == "update":
            _update(context, git, result)
        else:
            _reinstall(context, git, result, clone)


def _foreign(git: Git, result: PackResult) -> Optional[Problem]:
    """Why the folder is not this pack's repository, if so."""
    folder = result.folder
    if not (folder / ".git").exists():
        what = "a registry copy" if (folder / ".tracking").exists() else "something that is no git repository"
        return Problem(
            "name_taken",
            "custom_nodes/%s is %s." % (result.pack.folder, what),
            "Move it away, then start again.",
        )
    origin = git.line("config", "--get", "remote.origin.url", cwd=folder) or ""
    if same_repo(origin, result.pack.repo_url):
        return None
    message = "custom_nodes/%s is another repository (%s)." % (result.pack.folder, origin or "without an origin")
    return Problem("name_taken", message, "Move it away, or correct the manifest, then start again.")


def _keep(context: Context, git: Git, result: PackResult) -> None:
    result.commit = git.head(result.folder)
    result.kept = True
    if result.commit is None:
        hint = 'Start again with "existing": "reinstall".'
        result.problem = Problem("broken_checkout", "Its folder is a git repository without a commit.", hint)
    elif result.pack.ref and len(result.pack.ref) == 40 and result.pack.ref != result.commit:
        text = "%s was kept at %s, the manifest asks for %s." % (result.pack.name, result.commit, result.pack.ref)
        context.warn("kept_at_other_commit", text, 'Start again with "existing": "update" to get it.')


def _local_changes(git: Git, folder: Path) -> Optional[Problem]:
    hint = "Commit and push them, or move the folder away, then start again."
    changed = git.local("status", "--porcelain", "--untracked-files=no", cwd=folder)
    if changed.ok and changed.output.strip():
        return Problem("local_changes", "Tracked files were changed on the instance; nothing was touched.", hint)
    ahead = git.line("rev-list", "--count", "@{upstream}..HEAD", cwd=folder)
    if ahead and ahead.isdigit() and int(ahead):
        return Problem("local_changes", "It has commits of its own on the instance; nothing was touched.", hint)
    return None


def _update(context: Context, git: Git, result: PackResult) -> None:
    """Fetches and checks out. `checkout` refuses to write over untracked files, where a hard reset would not."""
    from app.runner.clone import update_submodules

    folder, ref = result.folder, result.pack.ref
    context.node(result.pack.name, NodeState.CLONING)
    branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=folder) if not ref else None
    spec = "+refs/heads/%s:refs/remotes/origin/%s" % (branch, branch) if branch else ref or "HEAD"
    finished = git.network("fetch", "--progress", "--depth", "1", "origin", spec, cwd=folder)
    if finished.ok:
        how = ("-B", branch) if branch else ("--detach",)
        finished = git.local("checkout", "-q", *how, "FETCH_HEAD", cwd=folder)
    if finished.ok and (folder / ".gitmodules").exists():
        finished = update_submodules(git, folder)
    if not finished.ok:
        result.problem = reasons.of_git(finished)
        return
    context.own(folder)
    result.commit = git.head(folder)


def _reinstall(context: Context, git: Git, result: PackResult, clone: Callable[[], None]) -> None:
    """A fresh clone takes the folder's place, with the untracked files of the old one.

    The old folder is no part of staging: a killed run's staging is removed, and this must not be lost with it."""
    clone()
    if result.problem is not None:
        return
    fresh = context.staging / result.pack.name
    old = result.folder.with_name(result.folder.name + ".nodeferry-old.disabled")
    untracked = git.untracked(result.folder)
    context.own(fresh)
    try:
        os.rename(str(result.folder), str(old))
        os.rename(str(fresh), str(result.folder))
    except OSError as exc:
        _put_back(old, result.folder)
        result.commit = None
        result.problem = Problem(
            "name_taken", "The folder could not be replaced: %s." % exc.strerror, "Look at %s." % old
        )
        return
    for name in untracked:
        _carry_over(old / name, result.folder / name)
    shutil.rmtree(str(old), ignore_errors=True)


def _put_back(old: Path, folder: Path) -> None:
    if old.exists() and not folder.exists():
        os.rename(str(old), str(folder))


def _carry_over(source: Path, target: Path) -> None:
    if os.path.lexists(str(source)) and not os.path.lexists(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(source), str(target))
