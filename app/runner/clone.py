"""Clone phase: every pack of the manifest into the staging folder, several at once, then one rename each.

ComfyUI never sees half a pack. A pack that lies in another's folder waits for that one.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from app.protocol.events import Kind
from app.protocol.manifest import NodePack, parent_of
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner import existing, reasons
from app.runner.children import Finished
from app.runner.context import Context, PackResult
from app.runner.git import Git
from app.runner.git_progress import Received
from app.runner.needs import find_needs

AT_ONCE = 8
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_LADDER = ((0.0, ""), (1.0, ""), (4.0, "HTTP/1.1"))
"""Seconds to wait before each try, and the HTTP version that it asks for."""
_PROGRESS_SECONDS = 0.25


def clone_all(context: Context, packs: Sequence[NodePack], at_once: int = AT_ONCE) -> List[PackResult]:
    """Clones all packs; the results in the manifest's order. Raises RunCancelled."""
    context.phase(Phase.CLONE, StepStatus.RUNNING)
    parents = {pack.name: parent_of(pack, packs) for pack in packs}
    results: Dict[str, PackResult] = {}
    with ThreadPoolExecutor(at_once, thread_name_prefix="clone") as pool:
        running: Dict[Future[PackResult], NodePack] = {}
        waiting = list(packs)
        while waiting or running:
            for pack in [pack for pack in waiting if _may_start(parents[pack.name], results)]:
                waiting.remove(pack)
                parent = parents[pack.name]
                running[pool.submit(_clone_or_skip, context, pack, results[parent.name] if parent else None)] = pack
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                results[running.pop(future).name] = future.result()
    context.phase(Phase.CLONE, StepStatus.SUCCESS)
    return [results[pack.name] for pack in packs]


def _may_start(parent: Optional[NodePack], results: Dict[str, PackResult]) -> bool:
    return parent is None or parent.name in results


def _clone_or_skip(context: Context, pack: NodePack, parent: Optional[PackResult]) -> PackResult:
    result = PackResult(pack, context.custom_nodes / pack.folder)
    if parent is not None and not parent.there:
        result.problem = Problem(
            "parent_failed",
            "It goes into the folder of %s, which is not there." % parent.pack.name,
            "Mend that pack first.",
        )
        context.node(pack.name, NodeState.SKIPPED, result.problem)
        return result
    result.problem = _place_problem(context, result)
    if result.problem is None:
        _put_in_place(context, result)
    if result.problem is not None:
        context.node(pack.name, NodeState.FAILED, result.problem)
        return result
    _tell_cloned(context, result)
    return result


def _put_in_place(context: Context, result: PackResult) -> None:
    if existing.is_there(result.folder):
        existing.settle(context, result, lambda: _clone(context, result))
    else:
        _clone(context, result)
        if result.problem is None:
            _move(context, result)


def _tell_cloned(context: Context, result: PackResult) -> None:
    """The pack is there; one that needs nothing more is installed."""
    find_needs(context, result)
    name = result.pack.name
    if result.problem:
        context.part(Kind.REQUIREMENTS, name, StepStatus.FAILED, result.problem)
    elif result.requirements:
        context.on_requirements()
        context.part(Kind.REQUIREMENTS, name, StepStatus.PENDING)
    if result.script:
        context.part(Kind.SCRIPT, name, StepStatus.PENDING)
    context.node(name, NodeState.CLONED, commit=result.commit, kept=result.kept)
    if not result.requirements and not result.script:
        context.settle(result)


def _place_problem(context: Context, result: PackResult) -> Optional[Problem]:
    """A pack's folder must lie under custom_nodes, also where its parent's repository brought links."""
    root = os.path.realpath(str(context.custom_nodes))
    above = os.path.realpath(str(result.folder.parent))
    if above != root and not above.startswith(root + os.sep):
        return Problem(
            "outside_custom_nodes",
            "Its folder would lie outside of custom_nodes (through a link).",
            "Check the subfolder.",
        )
    if above != root and not result.folder.parent.is_dir():
        hint = "Add the pack that %s belongs to, before it." % result.pack.folder
        return Problem("parent_missing", "The folder that it goes into is not there.", hint)
    return None


def _clone(context: Context, result: PackResult) -> None:
    """Clones into staging: `result.commit` or `result.problem` is set afterwards."""
    context.node(result.pack.name, NodeState.CLONING)
    log = context.task.node_log(result.pack.name)
    for number, (seconds, http_version) in enumerate(_LADDER, 1):
        context.pause(seconds)
        git = context.git(log, http_version)
        finished = _try_clone(context, result.pack, git)
        if finished.ok:
            result.problem = None
            result.commit = git.head(staged(context, result.pack))
            break
        result.problem = reasons.of_git(finished)
        if result.problem.code not in reasons.TRANSIENT or number == len(_LADDER):
            break
    if result.commit is None and result.problem is None:
        result.problem = Problem("empty_repository", "The repository has no commit.", "Check its address.")
    if result.problem is not None:
        shutil.rmtree(str(staged(context, result.pack)), ignore_errors=True)


def staged(context: Context, pack: NodePack) -> Path:
    """Where the pack grows until it is whole."""
    return context.staging / pack.name


def _try_clone(context: Context, pack: NodePack, git: Git) -> Finished:
    target = staged(context, pack)
    shutil.rmtree(str(target), ignore_errors=True)
    tell = _Throttled(context, pack.name)
    if pack.ref and _COMMIT.match(pack.ref):
        finished = _fetch_commit(pack, pack.ref, git, target, tell)
    else:
        branch = ["--branch", pack.ref] if pack.ref else []
        args = ["clone", "--progress", "--depth", "1", *branch, "--", pack.repo_url, str(target)]
        finished = git.network(*args, cwd=context.staging, on_progress=tell)
    if finished.ok and (target / ".gitmodules").exists():
        finished = update_submodules(git, target)
    return finished


def _fetch_commit(pack: NodePack, commit: str, git: Git, target: Path, tell: _Throttled) -> Finished:
    """One commit, without the branch that it is on."""
    target.mkdir(parents=True)
    finished = git.local("init", "-q", cwd=target)
    if finished.ok:
        finished = git.local("remote", "add", "origin", pack.repo_url, cwd=target)
    if finished.ok:
        finished = git.network("fetch", "--progress", "--depth", "1", "origin", commit, cwd=target, on_progress=tell)
    return git.local("checkout", "-q", "--detach", "FETCH_HEAD", cwd=target) if finished.ok else finished


def update_submodules(git: Git, checkout: Path) -> Finished:
    """The submodules at their commits, shallow; in full where the server does not give single commits."""
    args = ["submodule", "update", "--init", "--recursive", "--progress"]
    finished = git.network(*args, "--depth", "1", cwd=checkout)
    return finished if finished.ok else git.network(*args, cwd=checkout)


def _move(context: Context, result: PackResult) -> None:
    """The one rename that makes the pack visible to ComfyUI."""
    source = staged(context, result.pack)
    try:
        context.own(source)
        os.rename(str(source), str(result.folder))
    except OSError as exc:
        result.commit = None
        result.problem = Problem(
            "name_taken", "Its folder could not be put in place: %s." % exc.strerror, "Look at custom_nodes."
        )


class _Throttled:
    """Tells a clone's progress, about four times a second at most, and never the same figure twice."""

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._told_at = 0.0
        self._percent = -1

    def __call__(self, received: Received) -> None:
        now = time.monotonic()
        if received.percent == self._percent or (now - self._told_at < _PROGRESS_SECONDS and received.percent < 100):
            return
        self._told_at, self._percent = now, received.percent
        self._context.journal.tell(
            Kind.NODE_PROGRESS,
            name=self._name,
            percent=received.percent,
            bytes_received=received.bytes_received,
            rate=received.rate,
            eta=received.eta,
        )


def at_once(limit: Optional[int], processors: Optional[int]) -> int:
    """How many clones run at once: 8, fewer where the container may have few processes (each clone takes about
    five)."""
    by_pids = AT_ONCE if limit is None else max(1, (limit - 40) // 10)
    return max(1, min(AT_ONCE, by_pids, 4 * (processors or 1)))
