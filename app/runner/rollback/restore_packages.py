"""Bringing packages back to what they were before a run: versions, addresses and editable folders exactly.

What somebody changed after the run is not touched, and neither is what the run had nothing to do with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

from app.protocol.events import PackagesPlanned
from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.environment.freeze import Freeze, Installed, ask, freeze_of
from app.runner.process.children import Finished
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
    `tell`: by phase and plan, where this is what the run is for. Raises OSError, RunCancelled."""
    if record.before is None or record.executable is None:
        steps: Dict[str, Step] = {}
        left: List[str] = []
    else:
        steps, left = _way_back(record, freeze_of(ask(record.executable)))
    if not steps:
        if emit:
            context.phase(Phase.INSTALL, StepStatus.SKIPPED, "no package had to be changed back")
        return left
    if emit:
        context.phase(Phase.INSTALL, StepStatus.RUNNING)
        changes = [step.as_change() for _, step in sorted(steps.items())]
        context.journal.emit(PackagesPlanned(Plan("rollback", [], changes).described()))
    _apply(context, _installer(context, str(record.executable), uv), steps)
    left += _still_different(str(record.executable), steps)
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


class _Pip:
    """pip as `Uv` is used here, where there is no uv."""

    def __init__(self, context: Context, executable: str) -> None:
        self._context = context
        self._argv = [executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]

    def install(self, file: Path, log: Path, _on_line: Callable[[str], None]) -> Finished:
        """Exactly the file's lines, and nothing that they require."""
        return self._run(["install", "--no-deps", "-r", str(file)], log)

    def uninstall(self, names: Sequence[str], log: Path) -> Finished:
        """Removes packages."""
        return self._run(["uninstall", "-y", *names], log)

    def _run(self, argv: Sequence[str], log: Path) -> Finished:
        context = self._context
        limits, folder = context.limits.packages, context.task.folder
        return context.children.run([*self._argv, *argv], cwd=folder, limits=limits, log=log)


def _installer(context: Context, executable: str, uv: Optional[str]) -> Union[Uv, _Pip]:
    if uv is None:
        return _Pip(context, executable)
    python = {**context.python, "executable": executable}
    python.setdefault("prefix", str(Path(executable).parent.parent))
    return Uv(context.children, uv, python, context.task.folder, context.limits.packages)


def _apply(context: Context, uv: Union[Uv, _Pip], steps: Dict[str, Step]) -> None:
    """All at once; what cannot be had at once is tried one by one. The same version from somewhere else counts as
    installed for uv: it is removed first."""
    log = context.task.folder / "packages.log"
    gone = [step.name for step in steps.values() if step.was is None]
    if gone:
        uv.uninstall(gone, log)
    restored = [step for step in steps.values() if step.was is not None]
    moved = [
        step for step in restored if step.now is not None and step.was is not None and _only_moved(step.now, step.was)
    ]
    rest = [step for step in restored if step not in moved]
    if rest and not _install(context, uv, rest, log):
        for step in rest:
            _install(context, uv, [step], log)
    for step in moved:
        uv.uninstall([step.name], log)
        if not _install(context, uv, [step], log) and step.now is not None:
            _install(context, uv, [Step(None, step.now)], log)  # better from elsewhere than not there


def _only_moved(now: Installed, was: Installed) -> bool:
    return now.version == was.version


def _install(context: Context, uv: Union[Uv, _Pip], steps: Sequence[Step], log: Path) -> bool:
    file = context.task.folder / "rollback.txt"
    write_lines(file, [step.was.pinned for step in steps if step.was is not None])
    return uv.install(file, log, lambda _line: None).ok


def _still_different(executable: str, steps: Dict[str, Step]) -> List[str]:
    """Looked at, not assumed."""
    now = freeze_of(ask(executable))
    wrong = [step for name, step in steps.items() if now.get(name) != step.was]
    return ["%s could not be restored" % (step.was or "the removal of %s" % step.name) for step in wrong]
