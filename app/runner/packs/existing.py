"""A pack whose folder is there already: kept, updated or installed anew, as asked. Nothing of the user's is lost.

Another repository, or local changes in tracked files, is a failure with a hint; untracked files are kept.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, List, Optional, Set

from app.protocol.repo_url import same_repo
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner.context import Context, PackResult
from app.runner.files.move import discard, is_working_name, move
from app.runner.files.move import settle as settle_move
from app.runner.machine.git import Git
from app.runner.packs import manager_copies, movable
from app.runner.packs.checkout import Throttled, fetch_ref, is_commit, update_submodules, with_retries
from app.runner.process.children import Finished

OLD = ".nodeferry-old.disabled"
"""Behind the name of a folder that is being replaced; ComfyUI skips it. No part of staging: a killed run's staging is
removed, and this must not be lost with it."""

BEFORE_REINSTALL = ".before-reinstall"
"""Behind the name of a user's file where the new version brings one of that name."""


def is_there(folder: Path) -> bool:
    """Whether something is in the way of a clone. An empty folder is not."""
    if folder.is_dir() and not folder.is_symlink():
        return any(folder.iterdir())
    return os.path.lexists(str(folder))


def settle(context: Context, result: PackResult, clone: Callable[[], None]) -> None:
    """Does what `options.existing` says; `clone` clones into staging. Sets `commit`, `kept` or `problem`."""
    git = context.git(context.task.node_log(result.pack.name))
    to_do = _decide(context, git, result)
    if to_do == "keep":
        _keep(context, git, result)
    elif to_do == "reinstall":
        _reinstall(context, git, result, clone)
    elif to_do:
        _update(context, git, result)


def stays(context: Context, result: PackResult) -> bool:
    """Whether nothing would be changed: then it sets what `settle` would set. Changes nothing itself."""
    git = context.git(context.task.node_log(result.pack.name))
    to_do = _decide(context, git, result)
    if to_do == "keep":
        _keep(context, git, result)
    return to_do in ("", "keep")


def _decide(context: Context, git: Git, result: PackResult) -> str:
    """`keep`, `reinstall`, another word for an update; empty, with the problem, where nothing may be done."""
    wanted = _wanted(context)
    result.problem = _foreign(git, result)
    if result.problem is None and (
        wanted == "keep" or (wanted == "lock" and git.head(result.folder) == result.pack.ref)
    ):
        return "keep"
    if result.problem is None and wanted == "reinstall":
        result.problem = movable.cannot_be_moved(context.custom_nodes, result.folder)
    if result.problem is None:
        result.problem = local_changes(git, result.folder)
    return "" if result.problem else wanted


def _wanted(context: Context) -> str:
    """A lock wants its commits, whatever there is; one that must be exact is best undone by git alone."""
    wanted = context.options.existing
    is_lock = "lock" in (context.request.get("manifest") or {})
    return "lock" if is_lock and (wanted != "reinstall" or context.options.exact) else wanted


def _foreign(git: Git, result: PackResult) -> Optional[Problem]:
    """Why the folder is not this pack's repository, if so."""
    folder = result.folder
    if not (folder / ".git").exists():
        if (folder / manager_copies.TRACKING).is_file():
            return manager_copies.is_registry_copy(folder)
        return Problem(
            "name_taken",
            "custom_nodes/%s exists and is not a git repository. It was left untouched." % result.pack.folder,
            "Move it away, then start again.",
        )
    origin = git.line("config", "--get", "remote.origin.url", cwd=folder) or ""
    if same_repo(origin, result.pack.repo_url):
        return None
    message = "custom_nodes/%s is a clone of another repository (%s)." % (result.pack.folder, origin or "of no address")
    return Problem("name_taken", message, "Move it away, or correct the list of packs, then start again.")


def _keep(context: Context, git: Git, result: PackResult) -> None:
    result.commit = git.head(result.folder)
    result.kept = True
    if result.commit is None:
        hint = 'Start again with "existing": "reinstall".'
        result.problem = Problem(
            "broken_checkout", "Its folder is a git repository without a commit: an earlier clone broke off.", hint
        )
    elif is_commit(result.pack.ref) and result.pack.ref != result.commit:
        text = "%s was kept at commit %s; the list of packs asks for %s." % (
            result.pack.name,
            result.commit,
            result.pack.ref,
        )
        context.warn("kept_at_other_commit", text, 'Start again with "existing": "update" to get it.')


def local_changes(git: Git, folder: Path) -> Optional[Problem]:
    """Why the checkout may not be changed or removed: somebody's work is in its tracked files, commits or stashes."""
    hint = "Commit and push the changes, or move the folder away, then start again."
    changed = git.ask("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked", cwd=folder)
    if changed is None or changed.strip():
        return Problem(
            "local_changes", "Files of the pack were changed on the instance. They were left untouched.", hint
        )
    return own_work(git, folder)


def own_work(git: Git, folder: Path) -> Optional[Problem]:
    """Why the checkout may not be removed: commits that only it has, or stashes, in it or in its submodules."""
    for part in ["", *submodules(git, folder)]:
        if _own_commits(git, folder / part) or git.ask("stash", "list", cwd=folder / part):
            hint = "Commit and push the changes, or move the folder away, then start again."
            return Problem(
                "local_changes",
                "The pack's folder has commits or stashes that exist only on the instance. They were left untouched.",
                hint,
            )
    return None


def submodules(git: Git, checkout: Path) -> List[str]:
    """The paths of the submodules that are there, those of submodules too."""
    if not (checkout / ".gitmodules").exists():
        return []
    said = git.line("submodule", "foreach", "--quiet", "--recursive", "echo $displaypath", cwd=checkout) or ""
    return [path for path in said.splitlines() if (checkout / path / ".git").exists()]


def _own_commits(git: Git, folder: Path) -> Set[str]:
    """Commits that no remote branch or tag has. The edge of a shallow clone came from the remote."""
    said = git.line("rev-list", "HEAD", "--branches", "--not", "--remotes", "--tags", cwd=folder) or ""
    boundary = git.line("rev-parse", "--git-path", "shallow", cwd=folder) or ""
    path = folder / boundary
    return set(said.split()) - set(path.read_text("ascii", "replace").split() if boundary and path.is_file() else ())


def _update(context: Context, git: Git, result: PackResult) -> None:
    """Fetches and checks out."""
    folder, name = result.folder, result.pack.name
    context.node(name, NodeState.CLONING)
    branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=folder) if not result.pack.ref else None
    shallow = git.line("rev-parse", "--is-shallow-repository", cwd=folder) == "true"
    emit = Throttled(context, name)

    def attempt(git: Git) -> Finished:
        if branch:
            finished = _pull(git, branch, folder, shallow, emit)
        else:
            finished = fetch_ref(git, result.pack.ref or "HEAD", folder, shallow=shallow, emit=emit)
        present = finished.ok and (folder / ".gitmodules").exists()
        return update_submodules(git, folder) if present else finished

    result.problem = with_retries(context, context.task.node_log(name), attempt)
    if result.problem is None:
        context.own(folder)
        result.commit = git.head(folder)


def _pull(git: Git, branch: str, folder: Path, shallow: bool, emit: Throttled) -> Finished:
    """`checkout` refuses to write over untracked files, where a hard reset would not."""
    spec = "+refs/heads/%s:refs/remotes/origin/%s" % (branch, branch)
    depth = ["--depth", "1"] if shallow else []
    finished = git.network("fetch", "--progress", *depth, "origin", spec, cwd=folder, on_progress=emit)
    return git.local("checkout", "-q", "-B", branch, "FETCH_HEAD", cwd=folder) if finished.ok else finished


def _reinstall(context: Context, git: Git, result: PackResult, clone: Callable[[], None]) -> None:
    """A fresh clone takes the folder's place, with the untracked files of the old one. Raises OSError."""
    clone()
    if result.problem is not None:
        return
    fresh, old = context.staging / result.pack.name, _old_of(result.folder)
    context.own(fresh)
    move(result.folder, old)
    try:
        move(fresh, result.folder)
    except OSError:
        move(old, result.folder)
        raise
    if not _carry_all_over(git, old, result.folder):
        movable.warn_kept(context, result.folder)


def recover(git: Git, folder: Path) -> None:
    """Finishes the replacing of a folder in which an earlier run was killed. Raises OSError."""
    old = _old_of(folder)
    settle_move(folder)
    settle_move(old)
    if not restore_old(old) and old.is_dir():
        _carry_all_over(git, old, folder)


def restore_old(old: Path) -> bool:
    """Moves a folder that was being replaced back to its name, where its successor is not in place. Raises OSError."""
    folder = old.with_name(old.name[: -len(OLD)])
    if not old.is_dir() or is_there(folder):
        return False
    move(old, folder)
    return True


def _old_of(folder: Path) -> Path:
    return folder.with_name(folder.name + OLD)


def _carry_all_over(git: Git, old: Path, folder: Path) -> bool:
    """The untracked files, those in submodules too; the old folder goes only when all of them were carried. Whether
    it is gone."""
    for part in ["", *submodules(git, old)]:
        for name in git.untracked(old / part):
            if "__pycache__" not in name and not is_working_name(os.path.basename(name)):
                _carry_over(old / part / name, folder / part / name)
    return discard(old)


def _carry_over(source: Path, target: Path) -> None:
    """Where the new version brings a file of that name, the old one is kept beside it."""
    if not os.path.lexists(str(source)):
        return
    if os.path.lexists(str(target)):
        target = target.with_name(target.name + BEFORE_REINSTALL)
    target.parent.mkdir(parents=True, exist_ok=True)
    move(source, target)
