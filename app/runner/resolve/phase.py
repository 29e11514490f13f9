"""Resolve and install phases: what the packs require, planned in stages and carried out; by pip, file by file, where no
uv can be had.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, List, NamedTuple, Optional, Sequence, Set

from app.protocol.events import PackagesPlanned, PackagesProgress, RequirementsChanged
from app.protocol.log_names import file_name
from app.protocol.snapshot import Problem
from app.protocol.states import NodeState, Phase, StepStatus
from app.runner.context import Context, PackResult
from app.runner.hints import reasons
from app.runner.policies.known_bad import known_bads
from app.runner.process.private_files import append_to_log
from app.runner.resolve.build_gate import BuildGate
from app.runner.resolve.build_help import BuildHelp
from app.runner.resolve.builds import Builds
from app.runner.resolve.installer import Applier
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.kept_versions import keep_installed
from app.runner.resolve.ledger import Done, Ledger
from app.runner.resolve.line_gate import LineGate
from app.runner.resolve.metadata_mirror import MetadataMirror
from app.runner.resolve.no_builds import unbuilt_of
from app.runner.resolve.packs_with_own_sources import PacksWithOwnSources
from app.runner.resolve.pip import Pip
from app.runner.resolve.pip_lines import install_with_pip
from app.runner.resolve.plan import PackRequirements, write_lines
from app.runner.resolve.prefetch import Prefetch
from app.runner.resolve.protection import Requirements as Read
from app.runner.resolve.protection import constraints, read_requirements
from app.runner.resolve.resolver import Resolver
from app.runner.resolve.stages import StageRun
from app.runner.resolve.unbuilt import PLAN_INCOMPLETE, no_plan
from app.runner.resolve.uv import CONSTRAINTS, Uv
from app.runner.resolve.variants import Variants, other_cuda
from app.runner.resolve.wheel_sources import WheelSources

_LOOK_SECONDS = 0.5


class _Came(NamedTuple):
    """The packs that are there, and whether these are all."""

    results: List[PackResult]
    all_came: bool


class Requirements:
    """What the packs of one run require, installed in a thread of its own: packs whose clones take long come after the
    others, and those that wait for builds go on meanwhile."""

    def __init__(
        self,
        context: Context,
        prefetch: Prefetch,
        uv: Callable[[], Optional[str]],
        *,
        before: Callable[[], None] = lambda: None,
        on_done: Callable[[PackResult], None] = lambda _result: None,
    ) -> None:
        """`uv`: waits for its path, None for none; `before` is called once, in the thread, before anything is changed;
        `on_done`, from any thread, when a pack needs no more packages, and its own code may run."""
        self._context = context
        self._prefetch = prefetch
        self._uv = uv
        self._before = before
        self._on_done = on_done
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._came = _Came([], False)
        self._over = threading.Event()
        self._taken: Set[str] = set()
        self._begun = False
        self._variants: Optional[Variants] = None
        self._program: Optional[Uv] = None
        self._gate = LineGate(context)
        self._stages: Optional[StageRun] = None
        self._alone: Optional[PacksWithOwnSources] = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="packages")
        self._working: Optional[Future[None]] = None

    def __enter__(self) -> Requirements:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing of it runs any more."""
        self._over.set()
        self._wake.set()
        self._prefetch.end()
        self._pool.shutdown()
        if self._stages:
            self._stages.end()
        if self._alone:
            self._alone.close()

    def add(self, results: Sequence[PackResult]) -> None:
        """These packs are there, those of earlier calls among them: what they require is installed from now on. Does
        not wait."""
        self._receive(results, all_came=False)

    def finish(self, results: Sequence[PackResult]) -> None:
        """All packs are there: waits until everything came to its end. Raises RunCancelled, and what the thread
        raised."""
        self._receive(results, all_came=True).result()
        if not self._begun:
            self._context.phase(Phase.RESOLVE, StepStatus.SKIPPED, "no pack needs packages")
            self._context.phase(Phase.INSTALL, StepStatus.SKIPPED)
        elif self._stages and not self._context.options.plan_only:
            self._context.phase(Phase.INSTALL, StepStatus.SUCCESS)

    def _receive(self, results: Sequence[PackResult], *, all_came: bool) -> Future[None]:
        with self._lock:
            self._came = _Came(list(results), all_came)
            if self._working is None:
                self._working = self._pool.submit(self._work)
        self._wake.set()
        return self._working

    # -- in its thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Packs' own code waits until the others' packages are there, but for those that wait for builds: what a script
        changes is compared with what they need."""
        self._context.environment_lock.expect_packages(True)
        try:
            self._before()
            self._loop()
        finally:
            self._context.environment_lock.expect_packages(False)

    @property
    def _only_builds_left(self) -> bool:
        return self._stages is None or self._stages.only_builds_left

    def _loop(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            came = self._came
            if any(result.pack.name not in self._taken for result in came.results):
                self._context.environment_lock.expect_packages(True)
            self._install(came)
            if self._stages:
                self._stages.go_on()
            self._context.environment_lock.expect_packages(not self._only_builds_left)
            if came.all_came and (self._stages is None or self._stages.is_over):
                return
            if came is self._came:  # more packs, an answer, the end of a build: these have deadlines of their own
                self._wake.wait(_LOOK_SECONDS)
            self._context.check_cancelled()

    def _install(self, came: _Came) -> None:
        """Installs what these packs require, those of earlier calls left out, and tells each pack's result. Without a
        uv all packs come first. Raises RunCancelled."""
        context = self._context
        fresh = [result for result in came.results if result.pack.name not in self._taken]
        needs_some = any(result.requirements for result in fresh) or self._are_waiting
        uv = self._uv() if needs_some else None
        if needs_some and uv is None and not came.all_came:
            return
        self._taken.update(result.pack.name for result in fresh)
        self._alone = self._alone or PacksWithOwnSources.of(context)
        items = self._gate.passed([item for item in map(self._prepare, fresh) if item], all_came=came.all_came)
        wanted = self._alone.sorted_out(self._with_lines(items), all_came=came.all_came)
        if wanted and not self._begun:
            self._begun = True
            context.phase(Phase.RESOLVE, StepStatus.RUNNING)
        if wanted and uv is None:
            _by_pip(context, wanted, self._done)
        elif wanted and uv is not None:
            program = self._program = self._program or self._make_uv(uv)
            self._variants = self._variants or Variants(
                context.packages, gpu=context.has_gpu, has=lambda name: self._has(program, name)
            )
            _one_variant(context, wanted, self._variants)
            self._stages = self._stages or self._begin(program, self._variants)
            self._stages.run(wanted)

    @property
    def _are_waiting(self) -> bool:
        return self._gate.are_waiting or bool(self._alone and self._alone.are_waiting)

    def _with_lines(self, items: Sequence[PackRequirements]) -> List[PackRequirements]:
        """Of these packs those that ask for packages; for the others this is the end."""
        for item in items:
            if item.is_empty:
                self._done(item, None)
        return [item for item in items if not item.is_empty]

    def _make_uv(self, uv: str) -> Uv:
        context = self._context
        environment = context.environment
        assert environment is not None  # without one every pack has ended by now
        return Uv(
            context.children,
            uv,
            environment,
            context.task.folder,
            context.limits.packages,
            settings=InstallerSettings.of(context),
            wheels=WheelSources.of(context),
            build_help=BuildHelp.of(context),
        )

    def _has(self, program: Uv, name: str) -> bool:
        """Whether the index has a wheel of a package. Raises RunCancelled."""
        folder = self._context.task.folder
        file = folder / "variant.txt"
        write_lines(file, [name])
        return program.install(file, folder / "packages.log", lambda _line: None, builds=False, dry_run=True).ok

    def _begin(self, program: Uv, variants: Variants) -> StageRun:
        context = self._context
        assert context.environment is not None  # as above
        applier = None if context.options.plan_only else Applier(context, program, self._prefetch.fetched)
        builds = None if applier is None else Builds(context, program, self._wake.set)
        mirror = MetadataMirror(context.task.folder / "shadow", context.environment.paths)
        resolver = Resolver(context, program, variants, mirror, builds)
        own = constraints(context.packages, context.ui_home)
        return StageRun(
            context,
            resolver,
            Ledger(context, resolver, applier, self._done, own),
            builds,
            known=self._prefetch.known,
            wake=self._wake,
            waiting=applier.waiting if applier else lambda _count: None,
        )

    def _prepare(self, result: PackResult) -> Optional[PackRequirements]:
        """The pack's file for the resolver, or its end: it needs nothing, or its file cannot be used."""
        context = self._context
        if not result.is_cloned or result.requirements is None or result.problem is not None:
            self._on_done(result)
            return None
        if not context.options.plan_only:
            context.node(result.pack.name, NodeState.INSTALLING)
        context.journal.emit(RequirementsChanged(result.pack.name, StepStatus.RUNNING))
        try:
            python = context.environment.version if context.environment else ""
            read = read_requirements(result.requirements, result.folder, context.packages, python=python)
            keep_installed(context, result, read)
        except OSError as exc:
            read = Read(problem=reasons.of_os(exc))
        _note(context, result, read)
        file = context.task.folder / "requirements" / ("%s.txt" % file_name(result.pack.name))
        problem = context.python_problem or read.problem
        wanted = PackRequirements(result, file, read.lines, read.unmet, read.bad, read.hashes, read.options)
        if problem or wanted.is_empty:
            self._done(wanted, problem)
            return None
        wanted.write()
        return wanted

    def _done(self, item: PackRequirements, problem: Optional[Problem]) -> None:
        """The pack's requirements came to an end. Without a script to run, so did the pack."""
        context, result = self._context, item.result
        problem = problem or item.known_problem
        _note_left_out(context, result, item)
        result.lines_left_out = result.problem is None and problem is not None and problem == item.left_out_problem
        result.problem = result.problem or problem
        good = StepStatus.SKIPPED if context.options.plan_only else StepStatus.SUCCESS
        status = StepStatus.FAILED if problem and problem.code != PLAN_INCOMPLETE else good
        context.journal.emit(RequirementsChanged(result.pack.name, status, problem))
        if not context.options.plan_only:
            if result.script is None:
                context.settle(result)
            elif problem is not None:
                context.node(result.pack.name, NodeState.INSTALLING, result.problem)  # told as soon as it is known
        self._on_done(result)


def _note(context: Context, result: PackResult, read: Read) -> None:
    """What was taken out of the pack's file is in its log; a protected package that is not installed is said aloud."""
    if read.held:
        _log(context, result, "kept at the installed build: %s" % ", ".join(read.held))
    for note in read.notes[:20]:
        _log(context, result, "%s." % note)
    if read.left_out:
        text = "%s asks for %s. It was not installed, because it has to match the installed torch." % (
            result.pack.name,
            ", ".join(read.left_out),
        )
        context.warn(
            "protected_package_left_out", text, "If the pack needs it, install a build for your torch yourself."
        )


def _note_left_out(context: Context, result: PackResult, item: PackRequirements) -> None:
    """Every line that is left out is in the pack's log; those that the pack does not miss are said aloud besides: they
    are no problem of the pack's."""
    left_out = item.left_out
    for each in left_out.found:
        _log(context, result, "left out: %s. %s" % (each.told, each.hint))
    harmless = [each for each in left_out.found if each.harmless]
    if harmless:
        text = "%s names what nothing has to be installed for: %s." % (
            result.pack.name,
            "; ".join(each.told for each in harmless[:3]),
        )
        context.warn("requirement_lines_left_out", text, "Nothing has to be done: the pack misses nothing.")


def _log(context: Context, result: PackResult, text: str) -> None:
    append_to_log(context.task.node_log(result.pack.name), "Nodeferry: %s\n" % text)


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
        other = other_cuda(context.environment, variants.chosen.values())
        if other:
            context.warn("other_cuda", other, "Use an image whose torch has CUDA 12 if a pack is slow.")


def emit_planned(context: Context, results: Sequence[PackResult]) -> None:
    """The end of a run that only plans: what would fail is failed, the rest is skipped as asked."""
    changes = unbuilt_of(context)
    if changes:
        context.journal.emit(PackagesPlanned(changes))
    for result in results:
        if result.is_cloned:
            problem = result.problem or Problem("plan_only", "It was only planned, as asked. Nothing was changed.")
            is_bad = result.problem is not None and result.problem.code != PLAN_INCOMPLETE
            state = NodeState.FAILED if is_bad else NodeState.SKIPPED
            context.node(result.pack.name, state, problem)
    for phase in (Phase.INSTALL, Phase.SCRIPTS, Phase.VERIFY):
        context.phase(phase, StepStatus.SKIPPED, "plan only")


def _by_pip(context: Context, wanted: Sequence[PackRequirements], done: Done) -> None:
    """File by file, without a plan."""
    if context.options.plan_only:
        context.warn(
            "uv_unavailable",
            "There is no uv on the instance that can plan, and none could be downloaded. Packages are not planned.",
        )
        for item in wanted:
            done(item, no_plan())
        return
    context.warn(
        "uv_unavailable",
        "uv is not on the instance and could not be downloaded. pip installs one pack at a time, which is slower.",
    )
    held = context.task.folder / CONSTRAINTS
    write_lines(held, constraints(context.packages, context.ui_home, known_bads(context).excluded))
    _one_variant(context, wanted, Variants(context.packages, gpu=context.has_gpu))
    limits, wheels = context.limits.packages, WheelSources.of(context)
    may_build = BuildGate.of(context).asked("")
    folder = context.task.folder
    pip = Pip(context.children, context.executable, folder, limits, wheels=wheels, only_wheels=not may_build)
    context.phase(Phase.RESOLVE, StepStatus.SUCCESS, "one pack at a time")
    context.phase(Phase.INSTALL, StepStatus.RUNNING)
    for number, item in enumerate(wanted):
        context.journal.emit(PackagesProgress(number, len(wanted)))
        try:
            with context.environment_lock.for_packages():
                log, python = context.task.node_log(item.name), context.environment
                problem = install_with_pip(pip, item, held, log, python.version if python else "")
        except OSError as exc:
            problem = reasons.of_os(exc)
        done(item, problem)
    context.journal.emit(PackagesProgress(len(wanted), len(wanted)))
    context.phase(Phase.INSTALL, StepStatus.SUCCESS)
