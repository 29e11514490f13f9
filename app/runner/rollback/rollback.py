"""When a run is undone: by a run of its own; or by itself, when it does not go well and was asked to leave nothing
behind (`on_failure: rollback`), or everything or nothing (`exact`)."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Callable, Iterator, List, Mapping, Optional, Sequence, Tuple

from app.protocol.counts import PUT_ASIDE, has_problem
from app.protocol.events import ManifestRead, NodeChanged
from app.protocol.json_fields import read_record
from app.protocol.manifest import NodePack
from app.protocol.run_end import PUT_BACK
from app.protocol.snapshot import Problem
from app.protocol.states import GOOD_NODE_STATES, NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.process.errors import RunCancelled, RunFault
from app.runner.process.locks import is_locked
from app.runner.process.paths import Task
from app.runner.resolve.system_packages import of_earlier_run
from app.runner.rollback import record as notes
from app.runner.rollback.restore_packages import restore_packages
from app.runner.rollback.restore_packs import restore_packs, stuck
from app.runner.rollback.restore_registry_packs import REMOVED

_LIVE = (NodeState.CLONED, NodeState.INSTALLING, *GOOD_NODE_STATES)


def asked_for(context: Context) -> Optional[notes.Record]:
    """The record of the run that this one is to undo; None when this is an install. Raises RunFault."""
    task_id = context.request.get("rollback_of")
    return _record_of(str(task_id)) if task_id else None


def _record_of(task_id: str) -> notes.Record:
    """What the run noted before it changed anything. Raises RunFault."""
    task = Task(task_id)
    if task.folder.is_dir() and is_locked(task.lock):
        raise RunFault("task_running", "The run that you want to roll back still works.", "Cancel it first.")
    try:
        record = notes.Record(task)
    except (OSError, ValueError, KeyError) as exc:
        raise RunFault("nothing_to_roll_back", "The run's rollback record cannot be read: %s" % exc) from None
    if not record.exists:
        raise RunFault(
            "nothing_to_roll_back", "That run changed nothing on this instance, so there is nothing to roll back."
        )
    return record


# -- a run of its own --------------------------------------------------------------------------------------------------


def roll_back(context: Context, record: notes.Record, python: Future[None], uv: Callable[[], Optional[str]]) -> None:
    """The whole run of a rollback. Raises RunFault when packages or packs are not as they were, RunCancelled."""
    packs = tuple([read_record(NodePack, pack) for pack in record.packs])
    context.journal.emit(ManifestRead("rollback", packs))
    context.phase(Phase.PROBE, StepStatus.SUCCESS)
    context.phase(Phase.CLONE, StepStatus.RUNNING)
    found = restore_packs(context, record)
    _emit_packs(context, record, found)
    present = stuck(found)
    context.phase(Phase.CLONE, StepStatus.FAILED if present else StepStatus.SUCCESS)
    context.phase(Phase.RESOLVE, StepStatus.SKIPPED)
    python.result()
    left = _packages(context, record, uv, emit=True)
    removal = of_earlier_run(record.task.folder)
    if removal:
        text = "The system packages that the run installed are still there: other programs may use them by now."
        context.warn("system_packages_kept", text, "To remove them, run on the instance: %s" % removal)
    context.phase(Phase.SCRIPTS, StepStatus.SKIPPED)
    context.phase(Phase.VERIFY, StepStatus.SKIPPED, "packages and commits were compared; nothing was imported")
    if present or left:
        raise RunFault(
            "rollback_incomplete",
            "Not everything could be put back: %s." % "; ".join([*present, *left][:8]),
            "Each pack says what stopped it; the log named packages says it for Python packages.",
        )


def _packages(
    context: Context, record: notes.Record, uv: Callable[[], Optional[str]], *, emit: bool = False
) -> List[str]:
    """As `bring_back_packages`; an interpreter that does not answer any more is told, too."""
    try:
        return restore_packages(context, record, uv, emit=emit)
    except OSError as exc:
        return ["the installed packages cannot be listed: %s" % exc]


def _emit_packs(context: Context, record: notes.Record, found: Mapping[str, Optional[Problem]]) -> None:
    """How each pack is after a rollback that is a run of its own."""
    for pack in record.packs:
        name, problem = pack["name"], found[pack["name"]]
        is_loaded = problem is None and not pack.get("disabled")
        commit = context.git().head(context.custom_nodes / pack["folder"]) if is_loaded else None
        if commit is not None:
            context.journal.emit(NodeChanged(name, NodeState.CLONED, commit=commit, kept=True))
            context.node(name, NodeState.INSTALLED)
        elif problem is None:
            context.node(name, NodeState.SKIPPED, Problem(REMOVED, "The run had not changed it."))
        else:
            state = NodeState.SKIPPED if problem.code == REMOVED else NodeState.FAILED
            context.node(name, state, problem)


# -- a run that undoes itself ------------------------------------------------------------------------------------------


@contextmanager
def noted(context: Context, uv: Callable[[], Optional[str]]) -> Iterator[None]:
    """Notes how the run leaves things, however it ends. A run that does not come to its end as it was asked to is put
    back here. Raises what the block raises; a RunFault says besides what became of the putting back."""
    try:
        yield
    except BaseException as exc:
        uncancellable = _uncancellable(context)
        _note_after(uncancellable)
        if _all_or_nothing(context) or (_rolls_back(context) and not isinstance(exc, RunCancelled)):
            _put_back_after(uncancellable, exc, uv)
        raise
    uncancellable = _uncancellable(context)
    _note_after(uncancellable)
    context.environment = uncancellable.environment


def if_it_failed(context: Context, results: Sequence[PackResult]) -> None:
    """With `on_failure: rollback`, a run in which a pack is not good has failed. Raises RunFault then."""
    nodes = context.journal.snapshot.nodes
    unwell = [result.pack.name for result in results if result.problem is not None]
    bad = [name for name in unwell if nodes[name].state not in GOOD_NODE_STATES or has_problem(nodes[name])]
    if bad and _rolls_back(context):
        text = "The install was rolled back, because these packs failed: %s." % ", ".join(bad[:8])
        raise RunFault("rolled_back", text, "Fix these packs or leave them out, then start again.")


def _rolls_back(context: Context) -> bool:
    return context.options.on_failure == "rollback"


def _all_or_nothing(context: Context) -> bool:
    """A cancel counts too: half of an exact lock is not what was asked for."""
    return context.options.exact


def _uncancellable(context: Context) -> Context:
    """The same run, but no cancel reaches it: a rollback that has begun is finished."""
    never_set = threading.Event()
    return dataclasses.replace(context, children=context.children.cancelled_by(never_set), cancelled=never_set)


def _note_after(uncancellable: Context) -> None:
    try:
        notes.note_packages_after(uncancellable)
        notes.note_packs_after(uncancellable.task, uncancellable.git())
    except (OSError, ValueError) as exc:
        uncancellable.warn(
            "no_rollback_record",
            "The state after the run could not be recorded, so this run cannot be rolled back fully: %s" % exc,
        )


def _put_back_after(uncancellable: Context, exc: BaseException, uv: Callable[[], Optional[str]]) -> None:
    """Puts back, and tells what is left: in the run's reason, or, where it has none (a cancel), as a warning."""
    code = "lock_not_exact" if _all_or_nothing(uncancellable) else REMOVED
    left = _put_back(uncancellable, uv, code, cancelled=isinstance(exc, RunCancelled))
    said = PUT_BACK if not left else "Not everything could be put back: %s." % "; ".join(left[:8])
    if isinstance(exc, RunFault):
        problem = exc.problem
        raise RunFault(problem.code, "%s. %s" % (problem.message.rstrip("."), said), problem.hint) from None
    uncancellable.warn(
        "put_back_incomplete" if left else "put_back", said, "Roll back this task to try again." if left else ""
    )


def _put_back(uncancellable: Context, uv: Callable[[], Optional[str]], code: str, *, cancelled: bool) -> List[str]:
    """What could not be put back."""
    try:
        record = notes.Record(uncancellable.task)
    except (OSError, ValueError, KeyError) as exc:
        return ["the run's rollback record cannot be read: %s" % exc]
    left = _packages(uncancellable, record, lambda: _without_cancel(uv))
    found = restore_packs(uncancellable, record)
    _emit_restored(uncancellable, found, code, tuple(GOOD_NODE_STATES) if cancelled else _LIVE)
    return [*("%s: %s" % (name, _message(found[name])) for name in stuck(found)), *left]


def _message(problem: Optional[Problem]) -> str:
    return problem.message.rstrip(".") if problem else ""


def _without_cancel(uv: Callable[[], Optional[str]]) -> Optional[str]:
    """uv; None where the search for it was cancelled, hence nothing was installed by it."""
    try:
        return uv()
    except RunCancelled:
        return None


def _emit_restored(
    uncancellable: Context, found: Mapping[str, Optional[Problem]], code: str, states: Tuple[NodeState, ...]
) -> None:
    """A pack that was good a moment ago and is not there any more must not be told as installed. With a lock, what was
    kept is not good either: the lock is not there."""
    for name, node in uncancellable.journal.snapshot.nodes.items():
        was_put_aside = node.error is not None and node.error.code == PUT_ASIDE
        if not (node.state in states or was_put_aside) or (node.kept and code == REMOVED):
            continue
        problem = found.get(name)
        text = "It was put back as it was before the run, because the run could not be completed."
        state = NodeState.SKIPPED if was_put_aside else NodeState.FAILED
        uncancellable.node(name, state, problem if problem and problem.code != REMOVED else Problem(code, text))
