"""Getting a repository's files onto this machine: shallow, with submodules, and again where the line fails."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Set, Tuple

from app.protocol.events import NodeProgress
from app.protocol.manifest import NodePack
from app.protocol.reason import Retry
from app.protocol.reasons import find
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.hints import reasons
from app.runner.machine.git import Git, Progress
from app.runner.machine.git_progress import Received
from app.runner.packs import local_work, refs, submodule_addresses
from app.runner.packs.refs import BRANCHES, TAGS, Target
from app.runner.process.children import Finished

_NOT_GIVEN = re.compile(r"unadvertised object|want [0-9a-f]+ not valid|(?P<unknown>not our ref)")
"""A server that gives branches and tags, but no other commit by its hash; or the commit is not there."""
_PROGRESS_SECONDS = 0.25
_MOST_TRIES = 4
"""Of all submodules, each with more addresses known."""
_PIN = "refs/remotes/origin/nodeferry-pin"
"""What was asked for by name is under a remote's ref: it is nobody's own work."""
_IN_THE_WAY = re.compile(r"(?i)local changes to the following files would be overwritten|not uptodate")


def with_retries(context: Context, log: Path, attempt: Callable[[Git], Finished]) -> Optional[Problem]:
    """Makes attempts until one goes well, the problem is one that stays, or the waits are used up; the last
    problem. Raises RunCancelled, OSError."""
    problem = None
    delays = context.limits.retry_delays
    for number, seconds in enumerate(delays, 1):
        context.pause(seconds)
        last = number == len(delays) and number > 1
        finished = attempt(context.git(log, "HTTP/1.1" if last else ""))
        if finished.ok:
            return None
        problem = reasons.of_git(finished)
        if find(problem.code).retry is not Retry.SOON:
            break
    return problem


def clone_into(
    git: Git,
    url: str,
    ref: Optional[str],
    target: Path,
    emit: Optional[Progress] = None,
    *,
    on_found: Optional[Callable[[Target], None]] = None,
) -> Finished:
    """A shallow clone of a branch, tag or commit (none: the default branch) at `target`, which is emptied first.
    `on_found` gets what the ref is."""
    shutil.rmtree(str(target), ignore_errors=True)
    args = ["clone", "--progress", "--depth", "1"]
    if not ref:
        finished = git.network(*args, "--", url, str(target), cwd=target.parent, on_progress=emit, grows=target)
    else:
        finished, found = refs.find(git, url, ref, scratch_for(target))
        if found is None:
            return finished
        if on_found:
            on_found(found)
        if found.branch:
            args += ["--branch", found.branch, "--", url, str(target)]
            finished = git.network(*args, cwd=target.parent, on_progress=emit, grows=target)
        else:
            finished = _clone_found(git, url, found, target, emit)
    if finished.ok and (target / ".gitmodules").exists():
        finished = update_submodules(git, target)
    return finished


def scratch_for(target: Path) -> Path:
    """Where a history may be fetched in which a commit is looked up: nowhere that ComfyUI sees."""
    own = target / ".git"
    return own / "nodeferry-commits" if own.is_dir() else target.with_name(".commits-" + target.name)


def _clone_found(git: Git, url: str, found: Target, target: Path, emit: Optional[Progress]) -> Finished:
    """A tag, a commit or another ref, without the branch that it is on."""
    target.mkdir(parents=True)
    finished = git.local("init", "-q", cwd=target)
    if finished.ok:
        finished = git.local("remote", "add", "origin", url, cwd=target)
    return check_out(git, found, target, shallow=True, emit=emit) if finished.ok else finished


def check_out(
    git: Git, found: Target, checkout: Path, *, shallow: bool, emit: Optional[Progress] = None, remote: str = "origin"
) -> Finished:
    """Fetches what was found (from a remote or an address) into a checkout, and checks it out as a clone would have
    it: a branch as a branch that follows the remote's, anything else detached. Untracked files are never written
    over."""
    if not found.name:
        return fetch_ref(git, found.commit, checkout, shallow=shallow, emit=emit, remote=remote)
    branch, own = found.branch, "refs/remotes/origin/%s" % found.branch
    local = own if branch else found.name if found.tag else _PIN
    depth = ["--depth", "1"] if shallow else []
    spec = "+%s:%s" % (found.name, local)
    finished = git.network("fetch", "--progress", *depth, remote, spec, cwd=checkout, on_progress=emit)
    if not finished.ok:
        return finished
    finished = _switch(git, ["-B", branch] if branch else ["--detach"], local, checkout)
    if finished.ok and branch:
        _follow(git, branch, checkout)
    return finished


def _switch(git: Git, how: Sequence[str], to: str, checkout: Path) -> Finished:
    """Modes and line ends of files are nobody's work, and not in the way."""
    too_large = git.too_large(to, cwd=checkout)
    if too_large is not None:
        return too_large
    args = ["-c", "core.fileMode=false", "checkout", "-q", *how, to, "--"]
    finished = git.local(*args, cwd=checkout)
    if finished.ok or not _IN_THE_WAY.search(finished.output) or local_work.changed_files(git, checkout):
        return finished
    removed = local_work.make_way(git, checkout, to)
    finished = git.local(*args, cwd=checkout)
    if not finished.ok:
        local_work.bring_back(git, checkout, removed)
    return finished


def _follow(git: Git, branch: str, checkout: Path) -> None:
    """`git pull` in the checkout goes on from this branch, also where the clone knew only another one, which may be
    gone."""
    followed = git.line("config", "--get-all", "remote.origin.fetch", cwd=checkout) or ""
    if "refs/heads/*:" not in followed and "refs/heads/%s:" % branch not in followed:
        git.local("remote", "set-branches", "origin", branch, cwd=checkout)
    for key, value in (("remote", "origin"), ("merge", BRANCHES + branch)):
        git.local("config", "branch.%s.%s" % (branch, key), value, cwd=checkout)


def fetch_ref(
    git: Git, ref: str, checkout: Path, *, shallow: bool, emit: Optional[Progress] = None, remote: str = "origin"
) -> Finished:
    """Fetches a commit, or `HEAD`, from a remote or an address, and checks it out, detached. Where the server gives no
    single commits, the whole history is fetched."""
    depth = ["--depth", "1"] if shallow else []
    spec = "+%s:%s" % (ref, _PIN)
    finished = git.network("fetch", "--progress", *depth, remote, spec, cwd=checkout, on_progress=emit)
    refused = None if finished.ok or finished.stopped else _NOT_GIVEN.search(finished.output)
    if refused and refs.is_commit(ref):
        finished = _from_history(git, ref, checkout, finished, emit, look=bool(refused.group("unknown")))
    return _switch(git, ["--detach"], _PIN, checkout) if finished.ok else finished


def _from_history(
    git: Git, commit: str, checkout: Path, refused: Finished, emit: Optional[Progress], *, look: bool
) -> Finished:
    """Fetches all branches and tags for a commit that the server does not give alone. `look`: only if one has it."""
    url = git.line("config", "--get", "remote.origin.url", cwd=checkout) or ""
    if look and not refs.has_commit(git, url, commit, scratch_for(checkout)):
        return refused
    whole = git.line("rev-parse", "--is-shallow-repository", cwd=checkout) == "false"
    args: List[str] = [] if whole else ["--unshallow"]
    specs = ["+%s*:refs/remotes/origin/*" % BRANCHES, "+%s*:%s*" % (TAGS, TAGS)]
    finished = git.network("fetch", "--progress", *args, "origin", *specs, cwd=checkout, on_progress=emit)
    if finished.ok and not git.local("update-ref", _PIN, commit + "^{commit}", cwd=checkout).ok:
        return refused
    return finished


def update_submodules(git: Git, checkout: Path, path: Optional[str] = None) -> Finished:
    """The submodules at their commits (of one `path`, without its own ones), shallow; in full where the server does not
    give single commits. Ssh addresses are tried by https, relative ones also where the repository has moved to."""
    tried: Set[Tuple[str, ...]] = set()
    options = submodule_addresses.by_https(git, checkout)
    while True:
        tried.add(options)
        finished = _update_submodules(git, checkout, path, options)
        if finished.ok or finished.stopped:
            return finished
        if len(tried) == 1 and submodule_addresses.follow_new(git, checkout):
            tried.clear()
            continue
        options = submodule_addresses.by_https(git, checkout)  # of those that have come in between too
        if options in tried:
            options += submodule_addresses.after_redirect(git, checkout)
        if options in tried and path is not None:
            options = ()  # as the author wrote it: the instance may have a key
        if options in tried or len(tried) > _MOST_TRIES:
            return finished


def _update_submodules(git: Git, checkout: Path, path: Optional[str], options: Sequence[str]) -> Finished:
    args = [part for option in ["core.fileMode=false", *options] for part in ("-c", option)]
    args += ["submodule", "update", "--init", "--checkout", "--progress"]
    args += ["--recursive"] if path is None else ["--force"]  # cloned before, perhaps, and not checked out
    which = [] if path is None else [path]
    finished = git.network(*args, "--depth", "1", "--", *which, cwd=checkout)
    return finished if finished.ok or finished.stopped else git.network(*args, "--", *which, cwd=checkout)


def warn_of_both(context: Context, pack: NodePack, found: Target) -> None:
    """Says which one was meant where a branch and a tag have the name that the list gives."""
    if found.both:
        text = "%s: %s is a branch and a tag of the repository. The branch was meant, as for git clone --branch."
        context.warn("ref_ambiguous", text % (pack.name, pack.ref), "For the tag, write refs/tags/%s." % pack.ref)


class Throttled:
    """Tells a clone's progress, about four times a second at most, and never the same figures twice: one large file
    keeps the percentage where it is for minutes, and its bytes move."""

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._told_at = 0.0
        self._last: Optional[Received] = None

    def __call__(self, received: Received) -> None:
        """git's newest figure."""
        now = time.monotonic()
        if received == self._last or (now - self._told_at < _PROGRESS_SECONDS and not self._is_end(received)):
            return
        self._told_at, self._last = now, received
        figures = NodeProgress(self._name, received.percent, received.bytes_received, received.rate, received.eta)
        self._context.journal.emit(figures)

    def _is_end(self, received: Received) -> bool:
        """Whether it has just come to 100 %: git says that several times."""
        return received.percent == 100 and (self._last is None or self._last.percent < 100)
