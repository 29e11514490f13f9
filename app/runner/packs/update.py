"""Bringing a checkout to what the list asks for, or to the newest of the branch that it is on."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Tuple

from app.protocol.repo_identity import without_login
from app.runner.context import Context, PackResult
from app.runner.machine.git import Git
from app.runner.packs import refs
from app.runner.packs.checkout import (
    Throttled,
    check_out,
    fetch_ref,
    scratch_for,
    update_submodules,
    warn_of_both,
    with_retries,
)
from app.runner.packs.git_leftovers import origin
from app.runner.packs.refs import Target
from app.runner.packs.same_repository import SameRepository
from app.runner.packs.submodules import what_is_missing
from app.runner.process.children import Finished

_OF_THE_ADDRESS = frozenset(
    {
        "repository_not_found",
        "repository_not_found_or_private",
        "needs_login",
        "host_not_reached",
        "certificate_not_trusted",
        "stalled",
        "transfer_cut",
        "git_failed",
    }
)
"""Reasons that another address of the same repository may not have: a proxy for downloads that is no more, an ssh
address on a machine without a key."""


def update(context: Context, git: Git, result: PackResult) -> None:
    """Fetches and checks out, where nobody's work is in the way: `result.commit`, or `result.problem`. Raises OSError,
    RunCancelled."""
    folder, name = result.folder, result.pack.name
    moved, brought = "", False
    meant: Optional[Target] = None

    def attempt(git: Git, remote: str = "origin") -> Finished:
        nonlocal moved, brought, meant
        finished, found, moved = _wanted(git, result, remote)
        meant = found if finished.ok else None
        if finished.ok:
            finished = _bring(git, found, folder, Throttled(context, name), remote)
        brought = finished.ok
        return update_submodules(git, folder) if finished.ok and (folder / ".gitmodules").exists() else finished

    log, url = context.task.node_log(name), result.pack.repo_url
    result.problem = with_retries(context, log, attempt)
    if result.problem is not None and result.problem.code in _OF_THE_ADDRESS and origin(git, folder) != url:
        problem = with_retries(context, log, lambda git: attempt(git, url))
        result.problem = problem and result.problem
    if meant is not None:
        warn_of_both(context, result.pack, meant)
    if result.problem is not None and brought:
        result.incomplete = what_is_missing(git, folder, result.problem)
        result.problem = None if result.incomplete else result.problem
    if result.problem is None:
        _follow_move(context, git, result)
        context.own(folder)
        result.commit = git.head(folder)
        if moved:
            hint = "To have another branch, name it as the ref in the list of packs."
            context.warn("branch_followed", "%s: %s" % (name, moved), hint)


def _follow_move(context: Context, git: Git, result: PackResult) -> None:
    """An old address leads to the repository only until somebody else gets its name: the remote gets the list's, where
    that is the new one. An address with a login is left as it is."""
    old, url = origin(git, result.folder), result.pack.repo_url
    if without_login(old) != old or SameRepository.of(context).moved_to(old, url) is None:
        return
    if git.ask("remote", "set-url", "origin", url, cwd=result.folder) is not None:
        text = "The repository of %s has moved from %s to %s. The folder's remote names the new address now."
        context.warn("repository_moved", text % (result.pack.name, old, url))


def _bring(git: Git, found: Optional[Target], folder: Path, emit: Throttled, remote: str) -> Finished:
    shallow = git.line("rev-parse", "--is-shallow-repository", cwd=folder) == "true"
    if found is None:
        return fetch_ref(git, "HEAD", folder, shallow=shallow, emit=emit, remote=remote)
    return check_out(git, found, folder, shallow=shallow, emit=emit, remote=remote)


def _wanted(git: Git, result: PackResult, remote: str) -> Tuple[Finished, Optional[Target], str]:
    """What the checkout is to be brought to (None: whatever the remote's HEAD is), and why that is another branch than
    the one it is on, if so. `remote`: its name, or an address."""
    folder, ref = result.folder, result.pack.ref
    if ref:
        url = git.line("config", "--get", "remote.%s.url" % remote, cwd=folder) or remote
        finished, found = refs.find(git, url, ref, scratch_for(folder))
        return finished, found, ""
    branch = git.line("symbolic-ref", "--quiet", "--short", "HEAD", cwd=folder)
    finished, default, present = refs.default_branch(git, remote, branch, folder)
    if not finished.ok or default is None:
        usual = Target(refs.BRANCHES + branch, "") if branch and present else None
        return finished, usual, ""
    if branch == default.branch:
        return finished, default, ""
    was_default = git.line("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD", cwd=folder)
    if branch and present and was_default != "origin/%s" % branch:
        return finished, Target(refs.BRANCHES + branch, ""), ""  # somebody chose it
    if not branch:
        commit = git.head(folder) or "no commit"
        why = "it was on no branch (detached HEAD at %s)" % commit[:10]
    elif present:
        why = "the repository's default branch is no longer %s" % branch
    else:
        why = "the repository has no branch %s any more" % branch
    return finished, default, "%s, so it was brought to the default branch %s." % (why, default.branch)
