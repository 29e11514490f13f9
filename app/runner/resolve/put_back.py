"""Installing packages exactly as they were: version, address, editable folder. By uv, else by ComfyUI's own pip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Union

from app.runner.context import Context
from app.runner.environment import transaction
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Installed, freeze_of
from app.runner.requirements.lines import canonical
from app.runner.resolve.build_help import BuildHelp
from app.runner.resolve.installer import tell_unreadable
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.pip import Pip
from app.runner.resolve.plan import Change, write_lines
from app.runner.resolve.uv import Uv
from app.runner.resolve.wheel_sources import WheelSources


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


class Restorer:
    """For one environment. What it does is done whole or not at all. Its methods raise OSError, RunCancelled."""

    def __init__(self, context: Context, environment: Environment, uv: Optional[str]) -> None:
        """`uv`: None where none can be had."""
        self._context = context
        self._environment = environment
        self._log = context.task.folder / "packages.log"
        self._file = context.task.folder / "put-back.txt"
        folder, limits = context.task.folder, context.limits.packages
        wheels = WheelSources.of(context)
        self._program: Union[Uv, Pip] = (
            Pip(context.children, environment.executable, folder, limits, wheels=wheels)
            if uv is None
            else Uv(
                context.children,
                uv,
                environment,
                folder,
                limits,
                settings=InstallerSettings.of(context),
                wheels=wheels,
                build_help=BuildHelp.of(context),
            )
        )

    def put_back(self, steps: Sequence[Step]) -> None:
        """All at once; what cannot be had at once is tried one by one. A package of the system's that was covered is
        there again without what covers it. Whether it worked has to be looked at."""
        hidden = self._environment.behind.values()
        behind = freeze_of({found.name: [found.version, found.direct_url] for found in hidden})
        covered = [step for step in steps if step.was is not None and behind.get(canonical(step.name)) == step.was]
        self.remove([step.name for step in steps if step.was is None or step in covered])
        restored = [step for step in steps if step.was is not None and step not in covered]
        moved = [step for step in restored if step.now and step.was and step.now.version == step.was.version]
        rest = [step.was for step in restored if step.was and step not in moved]
        if rest and not self._whole([], rest):
            for was in rest:
                self._whole([], [was])
        for step in moved:  # the same version counts as installed, wherever it is from
            if step.was is not None:
                self._whole([step.name], [step.was])
        if isinstance(self._program, Uv):
            tell_unreadable(self._context, self._program)

    def remove(self, names: Sequence[str]) -> None:
        """All at once; where that fails, one by one."""
        if not self._whole(names, []):
            for name in names:
                self._whole([name], [])

    def exchange(self, present: Sequence[Installed], wanted: Installed) -> bool:
        """Whether `wanted` is there instead of the others; else they are as they were."""
        return self._whole([found.package for found in present], [wanted])

    def _whole(self, gone: Sequence[str], wanted: Sequence[Installed]) -> bool:
        """Whether some packages were removed, and just these installed, without what they require. Otherwise all is as
        it was: an index may die between the two."""
        if not gone and not wanted:
            return True
        names = [*gone, *(each.package for each in wanted)]
        try:
            change = transaction.begin(self._environment, names, self._context.task.task_id)
        except OSError:
            return False  # what would go cannot be kept: then it stays
        try:
            removed = not gone or self._program.uninstall(gone, self._log).ok
            done = removed and (not wanted or self._install(wanted))
        except BaseException:
            change.roll_back()
            raise
        if done:
            change.commit()
        elif change.roll_back():
            self._context.unfinished.append(change)
        return done

    def _install(self, wanted: Sequence[Installed]) -> bool:
        """uv looks into its cache too, where the index does not answer."""
        write_lines(self._file, [installed.pinned for installed in wanted])
        program, file, log = self._program, self._file, self._log
        if program.install(file, log, _ignore).ok:
            return True
        return isinstance(program, Uv) and program.install(file, log, _ignore, offline=True).ok


def _ignore(line: str) -> None:
    """Nobody counts these."""
