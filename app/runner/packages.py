"""Resolve and install phases: what the packs require, in one resolution; where that fails, pack by pack.

One bad pack costs only itself. The torch family is held at the installed build by constraints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from app.protocol.events import Kind
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner import reasons
from app.runner.context import Context, PackResult
from app.runner.places import file_name
from app.runner.requirement_files import Requirements, changes, constraints, never, read_requirements
from app.runner.uv import CONSTRAINTS, OVERRIDES, Pip, Uv


@dataclass
class Wanted:
    """A pack whose requirements are to be installed: the file made fit for the resolver."""

    result: PackResult
    file: Path


def install_requirements(context: Context, results: Sequence[PackResult], uv: Optional[str]) -> None:
    """Installs what the packs require and tells each pack's result. Raises RunCancelled."""
    context.phase(Phase.RESOLVE, StepStatus.RUNNING)
    wanted = [item for item in (_prepare(context, result) for result in results) if item]
    if not wanted:
        context.phase(Phase.RESOLVE, StepStatus.SKIPPED, "nothing is required")
        context.phase(Phase.INSTALL, StepStatus.SKIPPED)
        return
    installer = _installer(context, uv)
    files = [item.file for item in wanted]
    log = context.task.folder / "packages.log"
    planned = installer.plan(files, log) if isinstance(installer, Uv) else None
    together = planned is not None and planned.ok
    context.phase(Phase.RESOLVE, StepStatus.SUCCESS, "together" if together else "pack by pack")
    context.phase(Phase.INSTALL, StepStatus.RUNNING)
    if planned is not None and together and _install_together(context, installer, wanted, changes(planned.output), log):
        for item in wanted:
            _done(context, item.result, None)
    else:
        _install_each(context, installer, wanted)
    context.phase(Phase.INSTALL, StepStatus.SUCCESS)


def _prepare(context: Context, result: PackResult) -> Optional[Wanted]:
    """The pack's file for the resolver, or its end: it needs nothing, or its file cannot be used."""
    if not result.there or result.requirements is None or result.problem is not None:
        return None
    context.node(result.pack.name, NodeState.INSTALLING)
    context.part(Kind.REQUIREMENTS, result.pack.name, StepStatus.RUNNING)
    problem = context.python_problem
    try:
        read = read_requirements(result.requirements, result.folder, context.packages)
    except OSError as exc:
        read = Requirements(problem=reasons.of_os(exc))
    problem = problem or read.problem
    _note(context, result, read)
    if problem or not read.lines:
        _done(context, result, problem)
        return None
    file = context.task.folder / "requirements" / ("%s.txt" % file_name(result.pack.name))
    file.parent.mkdir(exist_ok=True, mode=0o700)
    _write_lines(file, read.lines)
    return Wanted(result, file)


def _note(context: Context, result: PackResult, read: Requirements) -> None:
    """What was taken out of the pack's file is in its log; a protected package that is not installed is said aloud."""
    if read.held:
        path = context.task.node_log(result.pack.name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(str(path), "a", encoding="utf-8") as log:
            log.write("Nodeferry: kept at the installed build: %s\n" % ", ".join(read.held))
    if read.left_out:
        text = "%s asks for %s, which must fit the installed torch and is left out." % (
            result.pack.name,
            ", ".join(read.left_out),
        )
        context.warn(
            "protected_package_left_out", text, "Install a build that fits your torch by hand, if the pack needs it."
        )


def _installer(context: Context, uv: Optional[str]) -> Union[Uv, Pip]:
    folder = context.task.folder
    _write_lines(folder / CONSTRAINTS, constraints(context.packages, context.ui_home))
    if uv is None:
        context.warn("uv_unavailable", "No uv could be had: pip installs file by file, which takes long.")
        return Pip(context.children, context.python, folder, context.tuning.packages)
    if context.python["system_site"]:
        _write_lines(folder / OVERRIDES, never(context.packages))
    return Uv(context.children, uv, context.python, folder, context.tuning.packages)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _install_together(
    context: Context, installer: Union[Uv, Pip], wanted: List[Wanted], planned: List[Dict[str, Any]], log: Path
) -> bool:
    context.journal.tell(Kind.PLAN, changes=planned)
    counter = _Counter(context, sum(change["new"] is not None for change in planned))
    return installer.install([item.file for item in wanted], log, counter).ok


def _install_each(context: Context, installer: Union[Uv, Pip], wanted: List[Wanted]) -> None:
    for number, item in enumerate(wanted):
        context.journal.tell(Kind.PACKAGES, done=number, total=len(wanted))
        try:
            problem = _install_one(context, installer, item)
        except OSError as exc:
            problem = reasons.of_os(exc)
        _done(context, item.result, problem)
    context.journal.tell(Kind.PACKAGES, done=len(wanted), total=len(wanted))


def _install_one(context: Context, installer: Union[Uv, Pip], item: Wanted) -> Optional[Problem]:
    log = context.task.node_log(item.result.pack.name)
    if isinstance(installer, Uv):
        planned = installer.plan([item.file], log)
        if not planned.ok:
            return reasons.of_packages(planned)
        context.journal.tell(Kind.PLAN, changes=changes(planned.output))
    finished = installer.install([item.file], log, _ignore)
    return None if finished.ok else reasons.of_packages(finished)


def _done(context: Context, result: PackResult, problem: Optional[Problem]) -> None:
    """The pack's requirements came to an end. Without a script to run, so did the pack."""
    result.problem = result.problem or problem
    status = StepStatus.FAILED if problem else StepStatus.SUCCESS
    context.part(Kind.REQUIREMENTS, result.pack.name, status, problem)
    if not result.script:
        context.settle(result)


def _ignore(line: str) -> None:
    """pack by pack, packs are counted, not packages."""


class _Counter:
    """Packages done of total, from uv's own `+ name==version` lines."""

    _ADDED = re.compile(r"^ [+~] \S+")

    def __init__(self, context: Context, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        context.journal.tell(Kind.PACKAGES, done=0, total=total)

    def __call__(self, line: str) -> None:
        if self._ADDED.match(line) and self._done < self._total:
            self._done += 1
            self._context.journal.tell(Kind.PACKAGES, done=self._done, total=self._total)
