"""Installing packages exactly as they were: version, address, editable folder. By uv, else by ComfyUI's own pip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Union

from app.runner.context import Context
from app.runner.environment.environment import Environment
from app.runner.environment.freeze import Installed
from app.runner.resolve.pip import Pip
from app.runner.resolve.plan import Change, write_lines
from app.runner.resolve.uv import Uv

Installer = Union[Uv, Pip]


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


def installer(context: Context, environment: Environment, uv: Optional[str]) -> Installer:
    """What installs into the environment; `uv` is None where none can be had."""
    folder, limits = context.task.folder, context.limits.packages
    if uv is None:
        return Pip(context.children, environment.executable, folder, limits)
    return Uv(context.children, uv, environment, folder, limits)


def put_back(context: Context, program: Installer, steps: Sequence[Step]) -> None:
    """All at once; what cannot be had at once is tried one by one. The same version from somewhere else, or with other
    files, counts as installed for uv and pip: it is removed first. Whether it worked has to be looked at. Raises
    OSError, RunCancelled."""
    gone = [step.name for step in steps if step.was is None]
    if gone:
        program.uninstall(gone, context.task.folder / "packages.log")
    restored = [step for step in steps if step.was is not None]
    moved = [step for step in restored if step.now and step.was and step.now.version == step.was.version]
    rest = [step.was for step in restored if step.was and step not in moved]
    if rest and not install_exactly(context, program, rest):
        for was in rest:
            install_exactly(context, program, [was])
    for step in moved:
        program.uninstall([step.name], context.task.folder / "packages.log")
        if step.was and not install_exactly(context, program, [step.was]) and step.now is not None:
            install_exactly(context, program, [step.now])  # better from elsewhere than not there


def install_exactly(context: Context, program: Installer, wanted: Sequence[Installed]) -> bool:
    """Whether just these could be installed, and nothing that they require; uv looks into its cache too, where the
    index does not answer. Raises OSError, RunCancelled."""
    file, log = context.task.folder / "put-back.txt", context.task.folder / "packages.log"
    write_lines(file, [installed.pinned for installed in wanted])
    if program.install(file, log, lambda _line: None).ok:
        return True
    return isinstance(program, Uv) and program.install(file, log, lambda _line: None, offline=True).ok
