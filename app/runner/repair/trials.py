"""Trying versions out: in a copy of the environment, with ComfyUI's own word for it."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence

from app.runner.comfyui.output import Import, by_entry, imports_of
from app.runner.comfyui.quick_test import WHITELIST, ComfyUI
from app.runner.context import Context
from app.runner.environment import transaction
from app.runner.environment.environment import Environment
from app.runner.environment.inspection import inspect
from app.runner.environment.transaction import Transaction
from app.runner.machine.git import Git
from app.runner.process.errors import RunCancelled
from app.runner.process.execute import base_environ
from app.runner.process.removal import remove_large_tree
from app.runner.repair.environment_copy import EnvironmentCopy
from app.runner.requirements.lines import asked_by, canonical
from app.runner.requirements.versions import is_version, satisfies
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.plan import Change, changes, write_lines
from app.runner.resolve.protection import constraints, never
from app.runner.resolve.resolver import frozen
from app.runner.resolve.uv import Uv
from app.runner.resolve.wheel_sources import WheelSources
from app.runner.verify.import_check import ImportCheck

COPY = "repair"
_MOST_COMPANIONS = 3


class OutOfTime(Exception):
    """The second round has used up its time."""


class Budget:
    """The time of a second round. `over` is set at its end, and ends its children as a cancel does."""

    def __init__(self, context: Context, seconds: float) -> None:
        self._context = context
        self._began = time.monotonic()
        self._until = self._began + seconds
        self.over = threading.Event()
        self._timer = threading.Timer(seconds, self.over.set)
        self._timer.daemon = True
        self._timer.start()

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self._began

    def look(self) -> None:
        """Raises RunCancelled, OutOfTime."""
        self._context.check_cancelled()
        if self.over.is_set() or time.monotonic() > self._until:
            raise OutOfTime

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What is ended by the end of the time, and not by the run's cancel, raises OutOfTime."""
        try:
            self.look()
            yield
        except RunCancelled:
            self.look()
            raise

    def end(self) -> None:
        """Nothing waits for its end any more."""
        self._timer.cancel()


class Trials:
    """One copy of the environment, and ComfyUI with it. For one thread; `make` first, `end` last. Everything raises
    RunCancelled, OutOfTime and OSError."""

    def __init__(self, context: Context, environment: Environment, uv: str, budget: Budget) -> None:
        self._context = context
        self._real = environment
        self._uv_program = uv
        self.place = context.staging / COPY
        self.budget = budget
        """Ends it."""
        self._copy = EnvironmentCopy(environment, self.place / "environment", budget.look)
        self._log = context.task.folder / "repair.log"
        self._made: Optional[Context] = None
        self._uv: Optional[Uv] = None
        self._mirror: Optional[MetadataMirror] = None
        self.home: Optional[Path] = None
        """Where ComfyUI is started, unless it is said: a folder with packs at other commits, None for the real one."""
        self.starts = 0
        """How often ComfyUI was started."""

    @property
    def disk_bytes(self) -> int:
        """What the copy takes."""
        return self._copy.disk_bytes

    @property
    def packages(self) -> Mapping[str, str]:
        """What is installed in the copy now."""
        return self.context.packages

    @property
    def context(self) -> Context:
        """The run's, but in the copy, and ended by the budget too."""
        if self._made is None:
            self._make()
        assert self._made is not None
        return self._made

    def git(self) -> Git:
        """git that the budget ends too; needs no copy."""
        bounded = dataclasses.replace(self._context, children=self._context.children.until(self.budget.over))
        return bounded.git(self._log)

    def _make(self) -> None:
        with self.budget.kept():
            self.place.mkdir(exist_ok=True)
            self._copy.make(self._context.limits.repair_disk)
            environment = inspect(self._copy.python)
        real = self._context

        def protections(given: Mapping[str, str]) -> Mapping[str, str]:
            path = given.get("PATH") or base_environ()["PATH"]
            return {**real.protections(given), **self._copy.environ(path)}

        children = real.children.until(self.budget.over)
        children.set_environ({"UV_LINK_MODE": "copy"})  # what packs write into must not be uv's cache
        made = dataclasses.replace(
            real,
            children=children,
            environment=dataclasses.replace(environment, torch=self._real.torch, torch_error=self._real.torch_error),
            protections=protections,
        )
        folder = real.task.folder / COPY
        folder.mkdir(exist_ok=True, mode=0o700)
        settings = InstallerSettings.of(real)
        write_lines(folder / "constraints.txt", constraints(made.packages, real.ui_home, settings.constraints))
        write_lines(folder / "never.txt", never(made.packages))
        self._mirror = MetadataMirror(folder / "mirror", environment.paths)
        wheels = WheelSources.of(real)
        limits = real.limits.packages
        self._uv = Uv(made.children, self._uv_program, environment, folder, limits, settings=settings, wheels=wheels)
        self._made = made

    def plan(self, lines: Sequence[str], *, keeps_all: bool = False) -> Optional[List[Change]]:
        """What these lines would change, inside of ComfyUI's own bounds; None where they cannot be had. `keeps_all`:
        nothing that is installed may change. What is installed and does not go with it comes down too, where it can."""
        found = self._plan(lines, keeps_all=keeps_all)
        wanted = list(lines)
        for _ in range(_MOST_COMPANIONS if found else 0):
            assert found is not None
            more = [line for line in self._against(found) if line not in wanted]
            wider = self._plan([*wanted, *more], keeps_all=False) if more else None
            if wider is None:
                break
            wanted, found = [*wanted, *more], wider
        return found

    def _against(self, planned: Sequence[Change]) -> List[str]:
        """Lines that ask for another version of what requires other versions than the planned ones."""
        moved = {canonical(change.package): change.new for change in planned if change.new is not None}
        environment = self.context.environment
        family = environment.torch_family if environment else {}
        lines = []
        for name, package in sorted(environment.distributions.items()) if environment else ():
            asked = [asked_by(line) for line in package.requires if name not in moved and name not in family]
            if any(each.bounds and satisfies(moved.get(each.name) or "", each.bounds) is False for each in asked):
                lines.append("%s<=%s" % (name, package.version.partition("+")[0]))
        return [line for line in lines if is_version(line.partition("<=")[2])]

    def _plan(self, lines: Sequence[str], *, keeps_all: bool) -> Optional[List[Change]]:
        context = self.context
        assert self._uv is not None
        assert self._mirror is not None
        folder = context.task.folder / COPY
        file, held = folder / "wanted.txt", folder / "held.txt"
        write_lines(file, lines)
        write_lines(held, frozen(context.packages) if keeps_all else [])
        installed = self._mirror.look()
        with self.budget.kept(), self._mirror.lent() as seen:
            finished = self._uv.plan(
                [file],
                self._log,
                constraints=[folder / "constraints.txt", held],
                overrides=[folder / "never.txt", self._mirror.unseen],
                builds=False,
                target=seen,
                timeout=context.limits.resolve_builds,
            )
        return changes(finished.output, installed) if finished.ok else None

    @contextmanager
    def installed(self, wanted: Sequence[Change]) -> Iterator[Optional[Callable[[], None]]]:
        """These packages are in the copy. Gives what keeps them there beyond the block; None where they could not be
        installed."""
        context = self.context
        assert context.environment is not None
        before = context.environment
        change = transaction.begin(before, [each.package for each in wanted], context.task.task_id)
        kept: List[bool] = []
        try:
            done = self._install(wanted)
            if done:
                context.environment = dataclasses.replace(
                    inspect(before.executable), torch=before.torch, torch_error=before.torch_error
                )
            yield (lambda: kept.append(True)) if done else None
        finally:
            self._leave(change, before, keeps=bool(kept))

    def _leave(self, change: Transaction, before: Environment, *, keeps: bool) -> None:
        if keeps:
            change.commit()
            return
        change.roll_back()
        self.context.environment = before

    def _install(self, wanted: Sequence[Change]) -> bool:
        assert self._uv is not None
        file = self.context.task.folder / COPY / "pins.txt"
        write_lines(file, [change.pinned for change in wanted])
        with self.budget.kept():
            return self._uv.install(file, self._log, lambda _line: None, builds=False).ok

    def loads(self, folders: Sequence[str], *, home: Optional[Path] = None) -> Dict[str, Import]:
        """What ComfyUI says of these packs alone, where it can be started with some. `home`: another folder of
        ComfyUI's than the real one."""
        home = home or self.home
        context = self._of_home(home)
        comfyui = ComfyUI(context)
        try:
            with self.budget.kept():
                some = WHITELIST in comfyui.options()
                self.starts += 1
                start = comfyui.with_only(folders) if some else comfyui.with_all()
        finally:
            comfyui.clean()
        return by_entry(imports_of(start.output) or {}, context.custom_nodes, context.layout.others)

    def _of_home(self, home: Optional[Path]) -> Context:
        """The run's context, in another folder of ComfyUI's, which is its own base directory."""
        if home is None:
            return self.context
        layout = dataclasses.replace(self.context.layout, base=None, custom_nodes=None)
        return dataclasses.replace(self.context, ui_home=home, layout=layout)

    def all_loads(self, *, home: Optional[Path] = None) -> Dict[str, bool]:
        """Of all packs that are there: whether each loads. Nobody is known where ComfyUI itself does not start."""
        home = home or self.home
        context = self._of_home(home)
        check = ImportCheck(context, ComfyUI(context))
        with self.budget.kept():
            self.starts += 1
            found = check.check()
        loads = {name: each.good for name, each in found.imports.items()}
        return {**loads, **dict.fromkeys(found.culprits, False)}

    def touched(self) -> FrozenSet[str]:
        """Files of the real environment that were written to although it is a copy that was used."""
        return frozenset(self._copy.touched())

    def end(self) -> None:
        """Nothing of it is left."""
        self.budget.end()
        if os.path.lexists(str(self.place)):
            remove_large_tree(self.place, low_priority=False)
