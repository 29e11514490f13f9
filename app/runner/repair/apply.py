"""Brings what a second round found into the real environment, whole or not at all."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from app.protocol.events import NodeChanged, PackagesPlanned
from app.protocol.repairs import Repair
from app.runner.context import Context, PackResult
from app.runner.environment import transaction
from app.runner.environment.environment import Environment
from app.runner.environment.transaction import Transaction
from app.runner.packs import local_work
from app.runner.packs.checkout import fetch_ref, update_submodules
from app.runner.requirements.lines import canonical
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.plan import Change, Plan, write_lines
from app.runner.resolve.uv import Uv
from app.runner.resolve.wheel_sources import WheelSources

_STAGE = "repair"


class Applied:
    """What was changed, until it is kept or taken back."""

    def __init__(self, context: Context, change: Optional[Transaction]) -> None:
        self._context = context
        self._change = change
        self._moved: List[Tuple[PackResult, str]] = []
        self._changed_before: Dict[str, Optional[str]] = dict(context.changed)

    def move(self, result: PackResult, commit: str) -> bool:
        """Checks out a pack's commit, from its remote; whether that went well. Local changes are in the way."""
        git, folder, old = (
            self._context.git(self._context.task.node_log(result.pack.name)),
            result.folder,
            result.commit,
        )
        if old is None or local_work.local_changes(git, folder) is not None:
            return False
        shallow = git.line("rev-parse", "--is-shallow-repository", cwd=folder) == "true"
        self._moved.append((result, old))
        finished = fetch_ref(git, commit, folder, shallow=shallow)
        if finished.ok and (folder / ".gitmodules").exists():
            finished = update_submodules(git, folder)
        self._context.own_new(folder)
        return finished.ok

    def keep(self) -> None:
        """It stays."""
        if self._change is not None:
            self._change.commit()
        for result, _old in self._moved:
            commit = self._context.git().head(result.folder)
            state = self._context.journal.snapshot.nodes[result.pack.name].state
            result.commit = commit
            self._context.journal.emit(NodeChanged(result.pack.name, state, commit=commit))

    def take_back(self) -> None:
        """All is as it was."""
        if self._change is not None and self._change.roll_back():
            self._context.unfinished.append(self._change)
        self._context.changed.clear()
        self._context.changed.update(self._changed_before)
        git = self._context.git()
        for result, old in self._moved:
            git.local("checkout", "-q", "--detach", old, cwd=result.folder)


def apply(
    context: Context, environment: Environment, uv: str, repair: Repair, results: Sequence[PackResult]
) -> Optional[Applied]:
    """Installs the packages and checks out the commits; None where that cannot be, and all is as it was. Raises
    RunCancelled."""
    changes = [Change(move.package, move.old, move.new) for move in repair.packages]
    try:
        change = transaction.begin(environment, [each.package for each in changes], context.task.task_id)
    except OSError:
        return None
    applied = Applied(context, change)
    try:
        done = not changes or _install(context, environment, uv, changes)
        by_name: Mapping[str, PackResult] = {result.pack.name: result for result in results}
        done = done and all(applied.move(by_name[move.name], move.new) for move in repair.packs if move.name in by_name)
    except BaseException:
        applied.take_back()
        raise
    if not done:
        applied.take_back()
        return None
    return applied


def _install(context: Context, environment: Environment, uv: str, changes: Sequence[Change]) -> bool:
    limits, wheels = context.limits.packages, WheelSources.of(context)
    file, log = context.task.folder / "repair.txt", context.task.folder / "packages.log"
    settings = InstallerSettings.of(context)
    program = Uv(context.children, uv, environment, context.task.folder, limits, settings=settings, wheels=wheels)
    context.journal.emit(PackagesPlanned(Plan(_STAGE, [], list(changes)).described()))
    write_lines(file, [change.pinned for change in changes])
    with context.environment_lock.for_packages():
        done = program.install(file, log, lambda _line: None, builds=False).ok
    if done:
        context.changed.update({canonical(change.package): change.new for change in changes})
    return done
