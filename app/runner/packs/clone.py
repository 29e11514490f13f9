"""Clone phase: every pack of the manifest into the staging folder, several at once, then one rename each.

ComfyUI never sees half a pack. A pack that lies in another's folder waits for that one.
"""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from app.protocol.events import NodeChanged, RequirementsChanged, ScriptChanged
from app.protocol.manifest import NodePack, parent_of
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.files.move import move
from app.runner.hints import reasons
from app.runner.packs import (
    archive_offer,
    disabled_packs,
    existing,
    lfs,
    manager_copies,
    movable,
    other_folders,
    pasted_ref,
    registry_pack,
    submodules,
)
from app.runner.packs.already_installed import AlreadyInstalled
from app.runner.packs.checkout import Throttled, clone_into, warn_of_both, with_retries
from app.runner.packs.installed import is_there
from app.runner.packs.pack_files import find_pack_files
from app.runner.packs.refs import Target
from app.runner.packs.same_repository import redirect_in
from app.runner.policies import incoming
from app.runner.policies.known_bad import problem_of_pack
from app.runner.policies.prestartup import Prestartups

AT_ONCE = 16
LONG_SECONDS = 4.0
"""No clone has ended for so long: those that still run take long, and what is there need not wait for them."""
Meanwhile = Callable[[Sequence[PackResult]], None]
_LOG_BYTES = 64 * 1024
_LEFT = frozenset({"same_repository", "pack_enabled"})
"""Reasons for which a pack is left as it is: nothing failed."""
_FULL = frozenset({"disk_full", "disk_quota", "no_room_for_repository"})


def clone_all(
    context: Context, packs: Sequence[NodePack], at_once: int = AT_ONCE, *, meanwhile: Optional[Meanwhile] = None
) -> List[PackResult]:
    """Clones all packs; the results in the manifest's order. `meanwhile` gets what is there each time that others take
    long; it works while they go on. Raises RunCancelled."""
    context.phase(Phase.CLONE, StepStatus.RUNNING)
    parents = {pack.name: parent_of(pack, packs) for pack in packs}
    results: Dict[str, PackResult] = {}
    with ThreadPoolExecutor(at_once, thread_name_prefix="clone") as pool:

        def submit(pack: NodePack, *, alone: bool = False) -> None:
            parent = parents[pack.name]
            parent_result = results[parent.name] if parent else None
            running[pool.submit(_clone_or_skip, context, pack, parent_result, alone=alone)] = pack

        running: Dict[Future[PackResult], NodePack] = {}
        waiting = list(packs)
        retry_alone: List[NodePack] = []
        held: List[NodePack] = []
        given = 0
        while waiting or running or retry_alone or held:
            for pack in [pack for pack in waiting if _may_start(parents[pack.name], results)]:
                waiting.remove(pack)
                submit(pack)
            if not running:  # the others have ended, and what did not fit is gone again
                _submit_rest(context, held, retry_alone, submit)
            may_work = meanwhile is not None and len(results) > given
            done = wait(running, LONG_SECONDS if may_work else None, FIRST_COMPLETED).done
            if not done and meanwhile is not None:
                given = len(results)
                meanwhile([results[pack.name] for pack in packs if pack.name in results])
            for future in done:
                pack, result = running.pop(future), future.result()
                if result.held or result.retry_alone:
                    (held if result.held else retry_alone).append(pack)
                else:
                    results[pack.name] = result
    context.phase(Phase.CLONE, StepStatus.SUCCESS)
    context.on_cloned()
    return [results[pack.name] for pack in packs]


def _submit_rest(
    context: Context, held: List[NodePack], retry_alone: List[NodePack], submit: Callable[..., None]
) -> None:
    """All that a person is to be asked about, once that is done; else one that is tried again alone. Raises
    RunCancelled."""
    if not held:
        submit(retry_alone.pop(0), alone=True)
        return
    Prestartups.of(context).ask()
    for pack in held:
        submit(pack)
    held.clear()


def _may_start(parent: Optional[NodePack], results: Dict[str, PackResult]) -> bool:
    return parent is None or parent.name in results


def _clone_or_skip(context: Context, pack: NodePack, parent: Optional[PackResult], *, alone: bool) -> PackResult:
    """Clones one pack. When the disk fills up while others write to it too, the result says `retry_alone` and no event
    is emitted: the caller tries it again `alone`."""
    result = PackResult(pack, context.custom_nodes / pack.folder)
    if parent is not None and not parent.is_cloned:
        result.problem = Problem(
            "parent_failed",
            "It goes into the folder of %s, which could not be cloned." % parent.pack.name,
            "Fix that pack first; a retry then installs both.",
        )
        context.node(pack.name, NodeState.SKIPPED, result.problem)
        return result
    result.problem = AlreadyInstalled.of(context).problem(pack)
    if result.problem is not None:
        context.node(pack.name, NodeState.SKIPPED, result.problem)
        return result
    try:
        _put_in_place(context, result)
        if result.held:
            return result
        _complete(context, result, pack.ref)
    except OSError as exc:
        result.commit, result.version, result.problem = None, None, reasons.of_os(exc)
    context.settled(result.folder)
    _emit_end(context, result, alone=alone)
    return result


def _complete(context: Context, result: PackResult, asked: Optional[str]) -> None:
    """What a pack that is in its place lacks, and what is to be done for it. `asked`: the ref in
    the list. Raises OSError."""
    if result.is_cloned or result.is_put_aside:
        lfs.settle(context, result)
    if result.is_cloned:
        find_pack_files(context, result)
        pasted_ref.warn_of_folder(context, result, asked)


def _emit_end(context: Context, result: PackResult, *, alone: bool) -> None:
    """How it came; where the disk was full, nothing yet."""
    if result.is_cloned:
        _emit_cloned(context, result)
    elif result.is_put_aside:
        disabled_packs.end(context, result)
    elif not alone and result.problem is not None and result.problem.code in _FULL:
        result.retry_alone = True
    else:
        is_left = result.problem is not None and result.problem.code in _LEFT
        context.node(result.pack.name, NodeState.SKIPPED if is_left else NodeState.FAILED, result.problem)


def _put_in_place(context: Context, result: PackResult) -> None:
    """`result.commit` or `result.problem` is set afterwards, or `result.held`. Raises OSError."""
    result.problem = problem_of_pack(context, result.pack)
    if result.problem is not None:
        return
    is_kept = is_there(result.folder) and context.existing_of(result.pack) == "keep"
    if not result.pack.registry_id:
        pasted_ref.settle(context, result, is_kept=is_kept)
    if result.problem is None and context.options.plan_only:
        _look_only(context, result)
    else:
        result.problem = result.problem or _place_problem(context, result)
        if result.problem is None:
            _bring(context, result)
    if result.kept and result.is_cloned and result.problem is None:
        incoming.look_at(context, result, result.folder)


def _bring(context: Context, result: PackResult) -> None:
    """Keeps what is there, brings it up to date, replaces it, or clones."""
    if result.pack.disabled:
        disabled_packs.folder_for(context)
    existing.recover(context.git(), result.folder)
    if result.pack.registry_id:
        registry_pack.bring(context, result)
        return
    anew = context.existing_of(result.pack) == "reinstall"
    copy = AlreadyInstalled.of(context).copy_of(result.pack) if anew else None
    if copy is not None and not (is_there(result.folder) and copy.path != result.folder):
        manager_copies.replace(context, result, copy, lambda: _clone(context, result), lambda: _move(context, result))
    elif is_there(result.folder):
        existing.settle(context, result, lambda: _clone(context, result))
    elif not other_folders.settle(context, result):
        result.problem = manager_copies.in_the_way(context, result.pack)
        if result.problem is None:
            _clone_once(context, result)
        if result.problem is None:
            _move(context, result)


def _look_only(context: Context, result: PackResult) -> None:
    """The pack as it would be: in staging, or where it is already if it would be kept. Changes nothing else."""
    if result.pack.registry_id:
        registry_pack.look_only(context, result)
        return
    present = is_there(result.folder)
    if present and existing.stays(context, result):
        return
    if not present and other_folders.settle(context, result):
        return
    result.problem = None if present else manager_copies.in_the_way(context, result.pack)
    if result.problem is None:
        _clone_once(context, result)
        result.folder = staged(context, result.pack)


def _emit_cloned(context: Context, result: PackResult) -> None:
    """The pack is there; one that needs nothing more is installed."""
    name = result.pack.name
    if result.problem:
        context.journal.emit(RequirementsChanged(name, StepStatus.FAILED, result.problem))
    elif result.requirements:
        context.on_requirements(result)
        context.journal.emit(RequirementsChanged(name, StepStatus.PENDING))
    if result.script:
        context.journal.emit(ScriptChanged(name, StepStatus.PENDING))
    context.journal.emit(
        NodeChanged(name, NodeState.CLONED, commit=result.commit, kept=result.kept, version=result.version)
    )
    if not result.requirements and not result.script and not context.options.plan_only:
        context.settle(result)


def _place_problem(context: Context, result: PackResult) -> Optional[Problem]:
    """A pack's folder must lie under custom_nodes, also where its parent's repository brought links."""
    root = os.path.realpath(str(context.custom_nodes))
    above = os.path.realpath(str(result.folder.parent))
    if above != root and not above.startswith(root + os.sep):
        return Problem(
            "outside_custom_nodes",
            "Its folder would be outside of custom_nodes (through a link).",
            "Correct its subfolder in the list of packs.",
        )
    if above != root and not (result.folder.parent.is_dir() or result.pack.disabled):
        hint = "Add the pack that %s belongs to above it in the list of packs." % result.pack.folder
        return Problem("parent_missing", "The folder that it goes into does not exist.", hint)
    if result.folder.is_dir() and not is_there(result.folder):
        return movable.cannot_be_moved(context.custom_nodes, result.folder)
    return None


def _clone(context: Context, result: PackResult) -> None:
    """Into staging: `result.commit` or `result.problem` is set afterwards."""
    target = staged(context, result.pack)
    if not incoming.resume(context, result, target):
        _clone_anew(context, result, target)
    if result.problem is None:
        incoming.look_at(context, result, target)
    if result.problem is not None and not result.held:
        shutil.rmtree(str(target), ignore_errors=True)


def _clone_anew(context: Context, result: PackResult, target: Path) -> None:
    pack = result.pack
    context.node(pack.name, NodeState.CLONING)
    emit = Throttled(context, pack.name)
    found: List[Target] = []
    result.problem = with_retries(
        context,
        context.task.node_log(pack.name),
        lambda git: clone_into(git, pack.repo_url, pack.ref, target, emit, on_found=found.append),
    )
    if result.problem is not None:
        result.incomplete = submodules.what_is_missing(
            context.git(context.task.node_log(pack.name)), target, result.problem
        )
        result.problem = None if result.incomplete else result.problem
    if not (is_there(result.folder) or pack.disabled):
        archive_offer.offer(context, result, target)
    if found:
        warn_of_both(context, pack, found[-1])
    if result.problem is None:
        result.commit = context.git().head(target)
        if result.commit is None:
            result.problem = Problem(
                "empty_repository", "The repository is empty: it has no commit.", "Check its address."
            )


def _clone_once(context: Context, result: PackResult) -> None:
    """The same for a pack that is not there: where a server has led git to a repository that is there under another
    name, it is not brought a second time."""
    log = context.task.node_log(result.pack.name)
    before = log.stat().st_size if log.exists() else 0
    _clone(context, result)
    if result.problem is not None or result.pack.disabled:
        return
    with open(str(log), "rb") as file:
        file.seek(before)
        led_to = redirect_in(file.read(_LOG_BYTES).decode("utf-8", "replace"))
    fresh = staged(context, result.pack)
    result.problem = AlreadyInstalled.of(context).twin_of(result.pack, fresh, result.commit or "", led_to)
    if result.problem is not None:
        result.commit = None
        shutil.rmtree(str(fresh), ignore_errors=True)


def staged(context: Context, pack: NodePack) -> Path:
    """Where the pack grows until it is whole."""
    return context.staging / pack.name


def _move(context: Context, result: PackResult) -> None:
    """The one move that makes the pack visible to ComfyUI."""
    source = staged(context, result.pack)
    context.own(source)
    try:
        move(source, result.folder)
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        text = "Something else created custom_nodes/%s during the install." % result.pack.folder
        result.commit = None
        result.problem = Problem("name_taken", text, "Move that folder away, then start again.")


def at_once(limit: Optional[int], processors: Optional[int]) -> int:
    """How many clones run at once: 16, fewer where the container may have few processes (each clone takes about
    five)."""
    by_pids = AT_ONCE if limit is None else max(1, (limit - 40) // 10)
    return max(1, min(AT_ONCE, by_pids, 8 * (processors or 1)))
