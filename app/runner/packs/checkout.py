"""Getting a repository's files onto this machine: shallow, with submodules, and again where the line fails."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Callable, Optional

from app.protocol.events import NodeProgress
from app.protocol.reason import Retry
from app.protocol.reasons import find
from app.protocol.snapshot import Problem
from app.runner.context import Context
from app.runner.hints import reasons
from app.runner.machine.git import Git, Progress
from app.runner.machine.git_progress import Received
from app.runner.process.children import Finished

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_PROGRESS_SECONDS = 0.25
_PIN = "refs/remotes/origin/nodeferry-pin"
"""What was asked for by name is under a remote's ref: it is nobody's own work."""


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


def clone_into(git: Git, url: str, ref: Optional[str], target: Path, emit: Optional[Progress] = None) -> Finished:
    """A shallow clone of a branch, tag or commit (none: the default branch) at `target`, which is emptied first."""
    shutil.rmtree(str(target), ignore_errors=True)
    if is_commit(ref):
        finished = _commit_into(git, url, str(ref), target, emit)
    else:
        branch = ["--branch", ref] if ref else []
        args = ["clone", "--progress", "--depth", "1", *branch, "--", url, str(target)]
        finished = git.network(*args, cwd=target.parent, on_progress=emit)
    if finished.ok and (target / ".gitmodules").exists():
        finished = update_submodules(git, target)
    return finished


def is_commit(ref: Optional[str]) -> bool:
    """Whether a ref is a whole commit hash."""
    return bool(ref and _COMMIT.match(ref))


def _commit_into(git: Git, url: str, commit: str, target: Path, emit: Optional[Progress]) -> Finished:
    """One commit, without the branch that it is on."""
    target.mkdir(parents=True)
    finished = git.local("init", "-q", cwd=target)
    if finished.ok:
        finished = git.local("remote", "add", "origin", url, cwd=target)
    return fetch_ref(git, commit, target, shallow=True, emit=emit) if finished.ok else finished


def fetch_ref(git: Git, ref: str, checkout: Path, *, shallow: bool, emit: Optional[Progress] = None) -> Finished:
    """Fetches a tag, branch or commit by name and checks it out, detached."""
    depth = ["--depth", "1"] if shallow else []
    spec = "+%s:%s" % (ref, _PIN)
    finished = git.network("fetch", "--progress", *depth, "origin", spec, cwd=checkout, on_progress=emit)
    return git.local("checkout", "-q", "--detach", _PIN, cwd=checkout) if finished.ok else finished


def update_submodules(git: Git, checkout: Path) -> Finished:
    """The submodules at their commits, shallow; in full where the server does not give single commits."""
    args = ["submodule", "update", "--init", "--recursive", "--progress"]
    finished = git.network(*args, "--depth", "1", cwd=checkout)
    return finished if finished.ok or finished.stopped else git.network(*args, cwd=checkout)


class Throttled:
    """Tells a clone's progress, about four times a second at most, and never the same figure twice."""

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._told_at = 0.0
        self._percent = -1

    def __call__(self, received: Received) -> None:
        """git's newest figure."""
        now = time.monotonic()
        if received.percent == self._percent or (now - self._told_at < _PROGRESS_SECONDS and received.percent < 100):
            return
        self._told_at, self._percent = now, received.percent
        figures = NodeProgress(self._name, received.percent, received.bytes_received, received.rate, received.eta)
        self._context.journal.emit(figures)
