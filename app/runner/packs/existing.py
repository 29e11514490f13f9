"""A pack whose folder is there already: kept, updated or installed anew, as asked. Nothing of the user's is lost.

Another repository, or local changes in tracked files, is a failure with a hint; untracked files are kept.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Optional

from app.protocol.repo_identity import without_login
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState
from app.runner.context import Context, PackResult
from app.runner.files.move import discard, is_working_name, move
from app.runner.files.move import settle as settle_move
from app.runner.machine.git import Git
from app.runner.packs import git_leftovers, manager_copies, movable, refs, stashes
from app.runner.packs.already_installed import AlreadyInstalled
from app.runner.packs.checkout import scratch_for
from app.runner.packs.installed import is_there
from app.runner.packs.local_work import local_changes, stashes_in_submodules, submodules
from app.runner.packs.same_repository import How, SameRepository, Verdict
from app.runner.packs.update import update
from app.runner.policies import incoming

OLD = ".nodeferry-old.disabled"
"""Behind the name of a folder that is being replaced; ComfyUI skips it. No part of staging: a killed run's staging is
removed, and this must not be lost with it."""

BEFORE_REINSTALL = ".before-reinstall"
"""Behind the name of a user's file where the new version brings one of that name."""

_ASIDE = "aside"
_SHOWN_CHARS = 300


def settle(context: Context, result: PackResult, clone: Callable[[], None]) -> None:
    """Does what `options.existing` says; `clone` clones into staging. Sets `commit`, `kept` or `problem`."""
    git = context.git(context.task.node_log(result.pack.name))
    if _wanted(context) != "keep" and (result.folder / ".git").is_dir():
        git_leftovers.remove_locks(context, result.folder)
    to_do = _decide(context, git, result)
    if to_do == "keep":
        _keep(context, git, result)
    elif to_do in ("reinstall", _ASIDE):
        _reinstall(context, git, result, clone, whole=to_do == _ASIDE)
    elif to_do:
        context.node(result.pack.name, NodeState.CLONING)
        before = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=result.folder), git.head(result.folder)
        update(context, git, result)
        incoming.look_at_update(context, git, result, before)


def stays(context: Context, result: PackResult) -> bool:
    """Whether nothing would be changed: then it sets what `settle` would set. Changes nothing itself."""
    git = context.git(context.task.node_log(result.pack.name))
    to_do = _decide(context, git, result)
    if to_do == "keep":
        _keep(context, git, result)
    return to_do in ("", "keep")


def _decide(context: Context, git: Git, result: PackResult) -> str:
    """`keep`, `reinstall`, `aside` (a reinstall that keeps the whole old folder), another word for an update; empty,
    with the problem, where nothing may be done."""
    wanted = _wanted(context)
    result.problem = _foreign(context, git, result)
    if result.problem is None and (
        wanted == "keep" or (wanted == "lock" and refs.is_at(git, result.folder, result.pack.ref or ""))
    ):
        return "keep"
    if result.problem is None and wanted == "reinstall":
        result.problem = movable.cannot_be_moved(context.custom_nodes, result.folder)
    if result.problem is None:
        damage = git_leftovers.damage(git, result.folder)
        if damage is not None and wanted == "reinstall":
            return _ASIDE
        result.problem = damage or local_changes(git, result.folder)
    if result.problem is None and wanted == "reinstall":
        result.problem = stashes_in_submodules(git, result.folder)
    return "" if result.problem else wanted


def _wanted(context: Context) -> str:
    """A lock wants its commits, whatever there is; one that must be exact is best undone by git alone."""
    wanted = context.options.existing
    is_lock = "lock" in (context.request.get("manifest") or {})
    return "lock" if is_lock and (wanted != "reinstall" or context.options.exact) else wanted


def _foreign(context: Context, git: Git, result: PackResult) -> Optional[Problem]:
    """Why the folder is not this pack's repository, if so."""
    folder, url = result.folder, result.pack.repo_url
    if not (folder / ".git").exists():
        copy = AlreadyInstalled.of(context).copy_of(result.pack)
        if copy is not None and copy.path == folder:
            return manager_copies.is_copy_of(copy)
        return Problem(
            "name_taken",
            "custom_nodes/%s exists and is not a git repository. It was left untouched." % result.pack.folder,
            "Move it away, then start again.",
        )
    refusal = git.refusal(folder)
    if refusal is not None:
        return refusal
    origin = git_leftovers.origin(git, folder)
    verdict = SameRepository.of(context).ask(origin, url, folder, git.head(folder))
    if verdict.same:
        _note_verdict(context, result, origin, verdict)
        return None
    address = without_login(origin)[:_SHOWN_CHARS] or "of no address"
    hint = "Move it away, or correct the list of packs, then start again."
    if verdict.same is None and origin:
        text = (
            "custom_nodes/%s is a clone of %s, and the list asks for %s. Whether that is the same could not be found "
            "out."
        )
        return Problem("name_taken", text % (result.pack.folder, address, url), hint)
    message = "custom_nodes/%s is a clone of another repository (%s)." % (result.pack.folder, address)
    return Problem("name_taken", message, hint)


def _note_verdict(context: Context, result: PackResult, origin: str, verdict: Verdict) -> None:
    """What is the same only by its commits is told."""
    if verdict.how is How.COMMITS:
        text = (
            "custom_nodes/%s is a clone of %s, and the list asks for %s. Both have the same commits, so it was taken "
            "for the pack."
        )
        hint = "If they are two packs, move the folder away, then start again."
        context.warn("same_by_commits", text % (result.pack.folder, without_login(origin), result.pack.repo_url), hint)


def _keep(context: Context, git: Git, result: PackResult) -> None:
    result.commit = git.head(result.folder)
    result.kept = True
    if result.commit is None:
        hint = 'Start again with "existing": "reinstall".'
        result.problem = git_leftovers.damage(git, result.folder) or Problem(
            "broken_checkout", "Its folder is a git repository without a commit: an earlier clone broke off.", hint
        )
    elif result.pack.ref and not _is_at(git, result, result.pack.ref):
        branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=result.folder)
        text = "%s was kept at commit %s%s; the list of packs asks for %s." % (
            result.pack.name,
            result.commit,
            " of the branch %s" % branch if branch else "",
            result.pack.ref,
        )
        context.warn("kept_at_other_commit", text, 'Start again with "existing": "update" to get it.')


def _is_at(git: Git, result: PackResult, ref: str) -> bool:
    """By what the checkout knows; else by what its remote says. One that does not answer says no."""
    if refs.is_at(git, result.folder, ref):
        return True
    if refs.is_commit(ref):
        return False
    try:
        found = refs.find(git, result.pack.repo_url, ref, scratch_for(result.folder))[1]
    except OSError:
        return False
    return found is not None and found.commit == result.commit


def _reinstall(
    context: Context, git: Git, result: PackResult, clone: Callable[[], None], *, whole: bool = False
) -> None:
    """A fresh clone takes the folder's place, with the untracked files and the stashes of the old one. `whole`: git
    cannot say what those are, so all of the old folder is kept aside. Raises OSError."""
    clone()
    if result.problem is not None:
        return
    fresh, old = context.staging / result.pack.name, _old_of(result.folder)
    if whole:
        old = manager_copies.aside_for(context, result.folder, "damaged")
    else:
        result.problem = stashes.carry_over(git, result.folder, fresh)
        if result.problem is not None:
            result.commit = None
            return
    context.own(fresh)
    move(result.folder, old)
    try:
        move(fresh, result.folder)
    except OSError:
        move(old, result.folder)
        raise
    if whole:
        where = old.relative_to(context.ui_home).as_posix()
        text = "%s: its .git folder was damaged, so the whole old folder is kept in %s." % (result.pack.name, where)
        context.warn("kept_aside", text, "Take your own files from there, then delete it.")
        return
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
