"""Bringing packages back to what they were before a run: versions, addresses and editable folders exactly.

What somebody changed after the run is not touched, and neither is what the run had nothing to do with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from app.protocol.events import PackagesPlanned
from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Freeze, Installed, freeze_of, to_record
from app.runner.environment.inspection import inspect
from app.runner.resolve.installer import tell_unreadable
from app.runner.resolve.pip import Pip
from app.runner.resolve.plan import Change, Plan, write_lines
from app.runner.resolve.uv import Uv
from app.runner.rollback.record import Record


@dataclass(frozen=True)
class Step:
    """One package on its way back: what is installed now, and what was before. None: not there."""

    now: Optional[Installed]
    was: Optional[Installed]

    @property
    def name(self) -> str:
        """The package."""
        known = self.was or self.now
        return known.package if known else ""

    def as_change(self) -> Change:
        """As a plan tells it."""
        was, now = self.was, self.now
        return Change(
            self.name, now.version if now else None, was.version if was else None, was.source if was else None
        )


def restore_packages(context: Context, record: Record, uv: Optional[str], *, emit: bool) -> List[str]:
    """The packages that the run changed are installed as they were. What could not be brought back, a text each.
    `emit`: tells phase and plan, where this is what the run is for. Raises OSError, RunCancelled."""
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
    folder, limits = context.task.folder, context.limits.packages
    if uv is None:
        _apply(context, Pip(context.children, now.executable, folder, limits), steps, now)
    else:
        program = Uv(context.children, uv, now, folder, limits)
        _apply(context, program, steps, now)
        tell_unreadable(context, program)
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


def _apply(context: Context, uv: Union[Uv, Pip], steps: Dict[str, Step], now: Environment) -> None:
    """All at once; what cannot be had at once is tried one by one. The same version from somewhere else counts as
    installed for uv: it is removed first. A package of the system's that was covered is there again without what covers
    it."""
    log = context.task.folder / "packages.log"
    behind = freeze_of({found.name: [found.version, found.direct_url] for found in now.behind.values()})
    covered = [name for name, step in steps.items() if step.was is not None and behind.get(name) == step.was]
    gone = [step.name for name, step in steps.items() if step.was is None or name in covered]
    if gone:
        uv.uninstall(gone, log)
    restored = [step for name, step in steps.items() if step.was is not None and name not in covered]
    moved = [step for step in restored if step.now and step.was and step.now.version == step.was.version]
    rest = [step for step in restored if step not in moved]
    if rest and not _install(context, uv, rest, log):
        for step in rest:
            _install(context, uv, [step], log)
    for step in moved:
        uv.uninstall([step.name], log)
        if not _install(context, uv, [step], log) and step.now is not None:
            _install(context, uv, [Step(None, step.now)], log)  # better from elsewhere than not there


def _install(context: Context, uv: Union[Uv, Pip], steps: Sequence[Step], log: Path) -> bool:
    file = context.task.folder / "rollback.txt"
    write_lines(file, [step.was.pinned for step in steps if step.was is not None])
    return uv.install(file, log, lambda _line: None).ok
