"""Resolve and install phases: what the packs require, planned in stages and carried out; by pip, file by file, where no
uv can be had.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Set

from app.protocol.events import PackagesProgress, RequirementsChanged
from app.protocol.log_names import file_name
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.hints import reasons
from app.runner.resolve.installer import Applier
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.pip import Pip
from app.runner.resolve.plan import PackRequirements, write_lines
from app.runner.resolve.prefetch import Prefetch
from app.runner.resolve.protection import Requirements as Read
from app.runner.resolve.protection import constraints, read_requirements
from app.runner.resolve.resolver import Resolver
from app.runner.resolve.stages import StageRun
from app.runner.resolve.uv import CONSTRAINTS, Uv
from app.runner.resolve.variants import Variants


class Requirements:
    """What the packs of one run require, installed in one turn or in several: packs whose clones take long come after
    the others. For one thread."""

    def __init__(self, context: Context, prefetch: Prefetch) -> None:
        """`early`: what was found out beside the clones."""
        self._context = context
        self._prefetch = prefetch
        self._taken: Set[str] = set()
        self._begun = False
        self._variants: Optional[Variants] = None
        self._stages: Optional[StageRun] = None

    def install(self, results: Sequence[PackResult], uv: Optional[str]) -> None:
        """Installs what these packs require, those of earlier turns left out, and tells each pack's result. Without a
        `uv` there can be one turn only. Raises RunCancelled."""
        context = self._context
        fresh = [result for result in results if result.pack.name not in self._taken]
        self._taken.update(result.pack.name for result in fresh)
        wanted = [item for item in (_prepare(context, result) for result in fresh) if item]
        if wanted and not self._begun:
            self._begun = True
            context.phase(Phase.RESOLVE, StepStatus.RUNNING)
        if wanted and uv is None:
            _by_pip(context, wanted)
        elif wanted and uv is not None:
            self._variants = self._variants or Variants(context.packages, gpu=context.has_gpu)
            _one_variant(context, wanted, self._variants)
            self._stages = self._stages or self._begin(uv, self._variants)
            self._stages.run(wanted)

    def end(self) -> None:
        """All turns are over."""
        self._prefetch.end()
        if not self._begun:
            self._context.phase(Phase.RESOLVE, StepStatus.SKIPPED, "no pack needs packages")
            self._context.phase(Phase.INSTALL, StepStatus.SKIPPED)
        elif self._stages and not self._context.options.plan_only:
            self._context.phase(Phase.INSTALL, StepStatus.SUCCESS)

    def _begin(self, uv: str, variants: Variants) -> StageRun:
        context = self._context
        environment = context.environment
        assert environment is not None  # without one every pack has ended by now
        program = Uv(context.children, uv, environment, context.task.folder, context.limits.packages)
        applier = None if context.options.plan_only else Applier(context, program, self._prefetch.fetched)
        mirror = MetadataMirror(context.task.folder / "shadow", environment.paths)
        resolver = Resolver(context, program, variants, mirror)

        def done(item: PackRequirements, problem: Optional[Problem]) -> None:
            _done(context, item, problem)

        own = constraints(context.packages, context.ui_home)
        return StageRun(context, resolver, applier, done, own=own, known=self._prefetch.known)


def _prepare(context: Context, result: PackResult) -> Optional[PackRequirements]:
    """The pack's file for the resolver, or its end: it needs nothing, or its file cannot be used."""
    if not result.is_cloned or result.requirements is None or result.problem is not None:
        return None
    if not context.options.plan_only:
        context.node(result.pack.name, NodeState.INSTALLING)
    context.journal.emit(RequirementsChanged(result.pack.name, StepStatus.RUNNING))
    try:
        read = read_requirements(result.requirements, result.folder, context.packages)
    except OSError as exc:
        read = Read(problem=reasons.of_os(exc))
    _note(context, result, read)
    file = context.task.folder / "requirements" / ("%s.txt" % file_name(result.pack.name))
    problem = context.python_problem or read.problem
    wanted = PackRequirements(result, file, read.lines, read.unmet)
    if problem or not read.lines:
        _done(context, wanted, problem)
        return None
    wanted.write()
    return wanted


def _note(context: Context, result: PackResult, read: Read) -> None:
    """What was taken out of the pack's file is in its log; a protected package that is not installed is said aloud."""
    if read.held:
        _log(context, result, "kept at the installed build: %s" % ", ".join(read.held))
    if read.left_out:
        text = "%s asks for %s. It was not installed, because it has to match the installed torch." % (
            result.pack.name,
            ", ".join(read.left_out),
        )
        context.warn(
            "protected_package_left_out", text, "If the pack needs it, install a build for your torch yourself."
        )


def _log(context: Context, result: PackResult, text: str) -> None:
    path = context.task.node_log(result.pack.name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(str(path), "a", encoding="utf-8") as log:
        log.write("Nodeferry: %s\n" % text)


def _one_variant(context: Context, wanted: Sequence[PackRequirements], variants: Variants) -> None:
    """Packs' lines that name another variant of what is chosen are rewritten; told."""
    variants.decide(name for item in wanted for name in item.names)
    packs: List[str] = []
    for item in wanted:
        changed = variants.rewritten(item.lines)
        if changed:
            packs.append(item.name)
            item.lines = [changed.get(line, line) for line in item.lines]
            item.write()
            _log(context, item.result, "one variant: %s" % ", ".join("%s -> %s" % pair for pair in changed.items()))
    if packs:
        text = "Some packages come in variants that overwrite each other. One of each was chosen (%s) for: %s." % (
            ", ".join(sorted(variants.chosen.values())),
            ", ".join(packs),
        )
        context.warn("one_variant", text, "The packs' logs say which of their requirements were changed.")


def _done(context: Context, item: PackRequirements, problem: Optional[Problem]) -> None:
    """The pack's requirements came to an end. Without a script to run, so did the pack."""
    result = item.result
    problem = problem or item.problem
    result.problem = result.problem or problem
    good = StepStatus.SKIPPED if context.options.plan_only else StepStatus.SUCCESS
    status = StepStatus.FAILED if problem else good
    context.journal.emit(RequirementsChanged(result.pack.name, status, problem))
    if not result.script and not context.options.plan_only:
        context.settle(result)


def emit_planned(context: Context, results: Sequence[PackResult]) -> None:
    """The end of a run that only plans: what would fail is failed, the rest is skipped as asked."""
    for result in results:
        if result.is_cloned:
            problem = result.problem or Problem("plan_only", "It was only planned, as asked. Nothing was changed.")
            state = NodeState.FAILED if result.problem else NodeState.SKIPPED
            context.node(result.pack.name, state, problem)
    for phase in (Phase.INSTALL, Phase.SCRIPTS, Phase.VERIFY):
        context.phase(phase, StepStatus.SKIPPED, "plan only")


def _by_pip(context: Context, wanted: Sequence[PackRequirements]) -> None:
    """File by file, without a plan."""
    if context.options.plan_only:
        context.warn(
            "uv_unavailable",
            "uv is not on the instance and could not be downloaded. Without it there is no plan of packages.",
        )
        return
    context.warn(
        "uv_unavailable",
        "uv is not on the instance and could not be downloaded. pip installs one pack at a time, which is slower.",
    )
    held = context.task.folder / CONSTRAINTS
    write_lines(held, constraints(context.packages, context.ui_home))
    _one_variant(context, wanted, Variants(context.packages, gpu=context.has_gpu))
    pip = Pip(context.children, context.executable, context.task.folder, context.limits.packages)
    context.phase(Phase.RESOLVE, StepStatus.SUCCESS, "one pack at a time")
    context.phase(Phase.INSTALL, StepStatus.RUNNING)
    for number, item in enumerate(wanted):
        context.journal.emit(PackagesProgress(number, len(wanted)))
        try:
            finished = pip.install_with_requirements(item.file, held, context.task.node_log(item.name))
            problem = None if finished.ok else reasons.of_packages(finished)
        except OSError as exc:
            problem = reasons.of_os(exc)
        _done(context, item, problem)
    context.journal.emit(PackagesProgress(len(wanted), len(wanted)))
    context.phase(Phase.INSTALL, StepStatus.SUCCESS)
