"""Bringing packages back to what they were before a run: versions, addresses and editable folders exactly.

What somebody changed after the run is not touched, and neither is what the run had nothing to do with.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Tuple

from app.protocol.events import PackagesPlanned
from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.environment.freeze import Freeze, freeze_of, to_record
from app.runner.environment.inspection import inspect
from app.runner.resolve.plan import Plan
from app.runner.resolve.put_back import Restorer, Step
from app.runner.rollback.record import Record


def restore_packages(context: Context, record: Record, uv: Callable[[], Optional[str]], *, emit: bool) -> List[str]:
    """The packages that the run changed are installed as they were. What could not be brought back, a text each.
    `uv`: asked for one only where there is something to do: to look for one may take half a minute. `emit`: tells
    phase and plan, where this is what the run is for. Raises OSError, RunCancelled."""
    now = inspect(record.executable) if record.before is not None and record.executable else None
    steps, left = _way_back(record, freeze_of(to_record(now))) if now else ({}, [])
    if not steps or now is None:
        if emit:
            context.phase(Phase.INSTALL, StepStatus.SKIPPED, "no package had to be changed back")
        return left
    if emit:
        context.phase(Phase.INSTALL, StepStatus.RUNNING)
        changes = [step.as_change() for _, step in sorted(steps.items())]
        context.journal.emit(PackagesPlanned(Plan("rollback", [], changes).described()))
    Restorer(context, now, uv()).put_back(list(steps.values()))
    later = freeze_of(to_record(inspect(now.executable)))  # looked at, not assumed
    wrong = [step for name, step in steps.items() if later.get(name) != step.was]
    left += ["%s could not be restored" % (step.was or "the removal of %s" % step.name) for step in wrong]
    if emit and not left:
        context.phase(Phase.INSTALL, StepStatus.SUCCESS, "%d packages restored" % len(steps))
    return left


def _way_back(record: Record, now: Freeze) -> Tuple[Dict[str, Step], List[str]]:
    """What is to be done, and what was changed by others after the run."""
    before = record.before or {}
    steps, left = {}, []
    for name in sorted(record.touched()):
        was, current = before.get(name), now.get(name)
        if was == current:
            continue
        if record.after is not None and current != record.after.get(name):
            text = "%s was changed after the run, so it was left untouched (now %s; before the run %s)"
            left.append(text % (name, current or "not installed", was or "not installed"))
        else:
            steps[name] = Step(current, was)
    return steps, left
