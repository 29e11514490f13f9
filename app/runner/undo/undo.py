"""When a rollback happens: as a run of its own, or at the end of a run that did not go well and was asked to leave
nothing behind."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Callable, Mapping, Optional, Sequence

from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.daemon.faults import RunFault
from app.runner.undo import record as notes
from app.runner.undo import rollback


def asked_for(context: Context) -> Optional[notes.Record]:
    """The record of the run that this one is to undo; None when this is an install. Raises RunFault."""
    task_id = context.request.get("rollback_of")
    return rollback.record_of(str(task_id)) if task_id else None


def undo(context: Context, record: notes.Record, python: Future[None], uv: Callable[[], Optional[str]]) -> None:
    """The whole run of a rollback. Raises RunFault when packages or packs are not as they were, RunCancelled."""
    rollback.tell_manifest(context, record)
    context.phase(Phase.PROBE, StepStatus.SUCCESS)
    context.phase(Phase.CLONE, StepStatus.RUNNING)
    found = rollback.bring_back_packs(context, record)
    rollback.tell_packs(context, record, found)
    stuck = [name for name, problem in found.items() if problem and problem.code != rollback.REMOVED]
    context.phase(Phase.CLONE, StepStatus.FAILED if stuck else StepStatus.SUCCESS)
    context.phase(Phase.RESOLVE, StepStatus.SKIPPED)
    python.result()
    rollback.bring_back_packages(context, record, uv() if record.before is not None else None)
    context.phase(Phase.SCRIPTS, StepStatus.SKIPPED)
    context.phase(Phase.VERIFY, StepStatus.SKIPPED, "packages and commits were compared, not imported")
    if stuck:
        text = "Not all packs could be brought back: %s." % ", ".join(sorted(stuck)[:8])
        raise RunFault("rollback_incomplete", text, "Each pack says what is in the way.")


def if_it_failed(context: Context, results: Sequence[PackResult], uv: Optional[str]) -> None:
    """With `on_failure: rollback`, a run in which a pack is not good is undone. Raises RunFault then."""
    if context.options.get("on_failure") != "rollback":
        return
    bad = [result.pack.name for result in results if result.problem is not None]
    if not bad:
        return
    notes.note_packages(context, after=True)
    record = notes.Record(context.task)
    rollback.bring_back_packages(context, record, uv)
    found = rollback.bring_back_packs(context, record)
    _tell_undone(context, results, found)
    stuck = [name for name, problem in found.items() if problem and problem.code != rollback.REMOVED]
    more = " Not brought back: %s." % ", ".join(sorted(stuck)) if stuck else ""
    raise RunFault(
        "rolled_back",
        "Not good: %s. As asked, everything was brought back to what it was before.%s" % (", ".join(bad[:8]), more),
        "Mend or leave out these packs, then start again.",
    )


def _tell_undone(context: Context, results: Sequence[PackResult], found: Mapping[str, Optional[Problem]]) -> None:
    """A pack that was good a moment ago and is not there any more must not be told as installed."""
    for result in results:
        problem = found.get(result.pack.name)
        if result.there and result.problem is None and problem is not None:
            context.node(result.pack.name, NodeState.FAILED, problem)
        elif result.there and result.problem is None and not result.kept:
            text = "Brought back to the commit of before, since other packs were not good."
            context.node(result.pack.name, NodeState.FAILED, Problem(rollback.REMOVED, text))
