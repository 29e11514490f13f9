"""The stages of one run: what agrees with the environment, at once; what wants a change; what has to be built. One bad
pack costs only itself.

Each stage is planned while the ones before it are installed. An answer that wants something else of what is just being
installed is not used: it is asked for again when that is there.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Callable, ContextManager, Dict, Iterator, List, Optional, Protocol, Sequence, Set, Tuple

from app.protocol.events import PackagesPlanned
from app.protocol.snapshot import Problem
from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.hints import reasons
from app.runner.process.children import Finished
from app.runner.requirements.lines import canonical
from app.runner.resolve import blame
from app.runner.resolve.compatible_sets import (
    NEEDS_BUILD,
    CompatibleSet,
    PrefetchResult,
    hopeless,
    largest_set,
    needs_build,
    quick_set,
)
from app.runner.resolve.install_queue import InstallQueue
from app.runner.resolve.installer import Applied, Applier
from app.runner.resolve.plan import AGREES, LONG_BUILD, WANTS_CHANGE, Change, PackRequirements, Plan
from app.runner.resolve.resolver import Resolver
from app.runner.resolve.split_builds import by_wheels

Done = Callable[[PackRequirements, Optional[Problem]], None]
"""Called when a pack's requirements came to an end; from one thread at a time or two."""


class PrefetchState(Protocol):
    """What was found out beside the clones; `of_all`: waits for what is being found out. Raises RunCancelled."""

    def __call__(self, *, of_all: bool = False) -> PrefetchResult:
        """It, as it is now."""


class _InVain(Exception):
    """An earlier stage failed: what is planned on its success is not wanted any more."""


class StageRun:
    """Plans and carries out, stage by stage."""

    def __init__(
        self,
        context: Context,
        resolver: Resolver,
        applier: Optional[Applier],
        done: Done,
        *,
        own: Sequence[str],
        known: PrefetchState,
    ) -> None:
        """`applier`: None for a plan that is not carried out; `own`: what ComfyUI requires and what is kept; `known`:
        what was found out beside the clones."""
        self._context = context
        self._resolver = resolver
        self._applier = applier
        self._done = done
        self._own = own
        self._ask_prefetch = known
        self._known = known()
        self._builders: Set[str] = set(self._known.builders)
        self._held_back: Optional[Tuple[Plan, Future[None]]] = None
        self._good: List[PackRequirements] = []
        self._planned: List[PackRequirements] = []
        """Who is good once all plans are carried out."""
        self._told: Set[Change] = set()
        self._failures: Dict[str, Problem] = {}
        self._hopeless: Optional[Problem] = None
        self._resolved = False
        self._kills = 0

    def run(self, wanted: Sequence[PackRequirements]) -> None:
        """Everything for these packs, beside what earlier runs have brought. Raises RunCancelled."""
        if self._resolved:
            self._known = replace(self._ask_prefetch(), answer=None)  # it is of how all was before
            self._builders |= self._known.builders
            self._resolver.refresh()
        left = list(wanted)
        while left:
            left = self._round(left)

    def _round(self, wanted: Sequence[PackRequirements]) -> List[PackRequirements]:
        """Plans each stage while earlier ones are installed. Returns the packs that must be planned again because a
        stage failed; packs that caused the failure are excluded."""
        with InstallQueue(self._carry_out) as queue:
            with suppress(_InVain):
                self._plan_all(wanted, queue)
            failed = queue.wait()
        if failed:
            self._planned = list(self._good)
            self._resolver.refresh()
            self._leave_out(*failed)
        settled = {item.name for item in self._good} | set(self._failures)
        return [item for item in wanted if item.name not in settled]

    # -- making plans ------------------------------------------------------------------------------------------------

    def _plan_all(self, wanted: Sequence[PackRequirements], queue: InstallQueue) -> None:
        found, first, built = self._agreeing(wanted)
        self._emit_resolved(len(found.kept), len(wanted))
        self._add(first, queue)
        with self._in_background(built, queue):
            rest = [item for item in found.left if item.name not in self._builders]
            other = largest_set(rest, self._with_changes)
            if self._has_to_wait(other.answer, queue):
                other = largest_set(rest, self._with_changes)
            self._add(self._plan_of(WANTS_CHANGE, other), queue)
        settled = {item.name for item in self._planned} | set(self._failures)
        self._plan_rest([item for item in wanted if item.name not in settled], queue)

    @contextmanager
    def _in_background(self, built: Optional[Plan], queue: InstallQueue) -> Iterator[None]:
        """Builds a stage while the one before it is installed and the one after it is planned. It is installed at the
        end of the block, or as soon as a later plan must wait for everything before it."""
        if built is None:
            yield
            return
        with ThreadPoolExecutor(1, thread_name_prefix="build") as pool:
            self._held_back = built, pool.submit(self._prepare, built, queue)
            try:
                yield
            except BaseException:
                self._held_back = None
                raise
            self._release(queue)

    def _release(self, queue: InstallQueue) -> None:
        """The stage that was held back has its turn, with what other stages do not bring."""
        if self._held_back is not None:
            (plan, prepared), self._held_back = self._held_back, None
            prepared.result()
            plan.changes = self._resolver.still_to_come(plan.changes)
            self._enter(plan)
            queue.add(plan)

    def _prepare(self, plan: Plan, queue: InstallQueue) -> None:
        with self._prepared(plan, queue):
            pass

    def _emit_resolved(self, agreeing: int, wanted: int) -> None:
        """Once: the later stages are resolved while the first one is installed."""
        if self._resolved:
            return
        self._resolved = True
        text = "%d of %d agree with what is installed" % (agreeing, wanted)
        self._context.phase(Phase.RESOLVE, StepStatus.SUCCESS, text)
        if self._applier is not None:
            self._context.phase(Phase.INSTALL, StepStatus.RUNNING)

    def _agreeing(self, wanted: Sequence[PackRequirements]) -> Tuple[CompatibleSet, Optional[Plan], Optional[Plan]]:
        """The packs that agree with what is installed, the plan of those that need wheels alone, and of the others.
        Those that do not agree are told by their own lines, or were found out while others were cloned."""
        for item in wanted:
            if any(NEEDS_BUILD.search(line) for line in item.lines):
                self._builders.add(item.name)
        out = self._builders | self._known.disagree
        able = [item for item in wanted if item.name not in out and not item.mismatches(self._resolver.installed)]
        found = quick_set(able, self._unchanged)
        plan = self._plan_of(AGREES, found)
        if plan is not None:
            plan.details = self._resolver.details(plan)
        parts = by_wheels(plan) if plan is not None else None
        if able and parts is None:  # it takes too long, or uv does not say what it has to build
            found = quick_set(
                able, lambda some: self._noted(some, self._resolver.solve(some, exact=True, builds=False))
            )
            parts = self._plan_of(AGREES, found), None
        left = [item for item in wanted if item not in found.kept]
        return CompatibleSet(found.kept, left, found.answer), *(parts or (None, None))

    def _unchanged(self, items: Sequence[PackRequirements]) -> Finished:
        finished = self._resolver.agreeing(items, self._known)
        if not finished.ok and blame.failed_package(finished.output):
            self._builders.update(item.name for item in blame.suspects(items, finished.output))
        return finished

    def _with_changes(self, items: Sequence[PackRequirements]) -> Finished:
        """Beside all that was planned, while that is installed, which comes first. What is being built no resolution of
        wheels alone could see: it is settled."""
        held = self._held_back[0] if self._held_back else None
        base = [*self._planned, *(held.items if held else ())]
        settled = sorted((held.details.built or ()) if held and held.details else ())
        finished = self._resolver.with_changes(
            items, base, self._ask_prefetch(of_all=True), settled=settled, low_priority=self._applier is not None
        )
        return self._noted(items, finished)

    def _noted(self, items: Sequence[PackRequirements], finished: Finished) -> Finished:
        """Who needs something without a wheel is not asked again before the builds."""
        if needs_build(finished):
            self._builders.update(item.name for item in blame.suspects(items, finished.output))
        return finished

    def _plan_rest(self, items: Sequence[PackRequirements], queue: InstallQueue) -> None:
        """What has to be built, in one resolution, and what goes with nothing, each by itself beside the others."""
        together = [item for item in items if item.name in self._builders]
        groups = [[item] for item in items if item not in together] + ([together] if together else [])
        base = len(self._planned)
        with ThreadPoolExecutor(2, thread_name_prefix="resolve") as pool:
            answers = list(pool.map(self._with_builds, groups))
        for group, answer in zip(groups, answers):
            holds = len(self._planned) == base or answer is None or not answer.ok
            self._plan_builds(group, answer if holds else self._with_builds(group), queue)

    def _plan_builds(self, group: List[PackRequirements], answer: Optional[Finished], queue: InstallQueue) -> None:
        """A set of packs that may be built; if it cannot be had, each of them by itself."""
        if answer is not None and answer.ok:
            if self._has_to_wait(answer, queue):
                self._plan_builds(group, self._with_builds(group), queue)
            else:
                self._add(self._plan_of(LONG_BUILD, CompatibleSet(group, [], answer)), queue)
        elif len(group) > 1:
            for item in group:
                self._plan_builds([item], self._with_builds([item]), queue)
        else:
            self._refuse(group[0], answer)

    def _with_builds(self, items: Sequence[PackRequirements]) -> Optional[Finished]:
        """uv's answer; None where there is no hope of any."""
        if self._hopeless and not any(item.options for item in items):
            return None
        finished = self._resolver.solve(items, exact=False, builds=True, base=self._planned)
        if not finished.ok and hopeless(items, finished):
            self._hopeless = reasons.of_packages(finished)
        return finished

    def _has_to_wait(self, answer: Optional[Finished], queue: InstallQueue) -> bool:
        """Whether an answer has to be made again, after what is just being installed is there. Raises _InVain."""
        if answer is None or self._applier is None or not self._resolver.disturbs(answer):
            return False
        self._release(queue)
        if queue.wait():
            raise _InVain
        self._resolver.refresh()
        return True

    def _plan_of(self, stage: str, found: CompatibleSet) -> Optional[Plan]:
        if not found.kept or found.answer is None:
            return None
        return Plan(stage, found.kept, self._resolver.changes(found.answer))

    def _add(self, plan: Optional[Plan], queue: InstallQueue) -> None:
        """A stage, to be carried out after the others."""
        if plan is not None:
            self._enter(plan)
            with self._prepared(plan, queue):
                queue.add(plan)

    def _enter(self, plan: Plan) -> None:
        """From now on later plans come on top of it."""
        self._resolver.planned(plan.changes)
        self._planned += plan.items

    def _prepared(self, plan: Plan, queue: InstallQueue) -> ContextManager[None]:
        """Builds are made while other stages are carried out."""
        if self._applier is None or plan.stage != LONG_BUILD or not queue.busy:
            return nullcontext()
        return self._applier.prepared(plan, self._log(plan.items))

    # -- carrying them out ---------------------------------------------------------------------------------------------

    def _carry_out(self, plan: Plan) -> Applied:
        """Tells and installs a stage; called after the stages before it, in their thread."""
        self._emit(plan)
        if self._applier is None:
            self._good += plan.items
            return Applied(Finished(0, b""))
        applied = self._applier.apply(plan, self._log(plan.items))
        if applied.finished.ok:
            self._resolver.carried_out(plan.changes)
            self._context.changed.update({canonical(each.package): each.new for each in plan.changes})
            self._succeed(plan.items)
        return applied

    def _leave_out(self, plan: Plan, applied: Applied) -> None:
        """Whoever needs what could not be fetched, built or replaced; the others of the stage get another one."""
        finished = applied.finished
        if self._was_killed(finished):
            return  # everything is as it was before: it is tried once more
        package, problem = applied.stuck or (blame.failed_package(finished.output), None)
        if package is None or hopeless(plan.items, finished) or package in self._resolver.blocked:
            problem = reasons.of_packages(finished)
            present = [item for item in plan.items if problem.code == "disk_full" and self._is_there(item)]
            self._succeed(present)
            self._fail([item for item in plan.items if item not in present], problem, finished)
            return
        self._resolver.unavailable(package)
        exact, builds = plan.stage == AGREES, plan.stage == LONG_BUILD

        def solve(items: Sequence[PackRequirements]) -> Finished:
            return self._resolver.solve(items, exact=exact, builds=builds, base=self._good)

        self._fail(largest_set(plan.items, solve).left, problem or blame.of_package(package, finished), finished)

    def _was_killed(self, finished: Finished) -> bool:
        """Whether somebody else ended uv (the kernel, for want of memory), for the first time in this run."""
        self._kills += finished.code < 0 and finished.stopped is None
        return finished.code < 0 and self._kills == 1

    def _is_there(self, item: PackRequirements) -> bool:
        """Whether all that the pack needs is installed: it needed nothing new, or got it before the disk was full."""
        finished = self._resolver.solve([item], exact=False, builds=False, base=self._good)
        return finished.ok and not self._resolver.changes(finished)

    # -- telling -----------------------------------------------------------------------------------------------------

    def _emit(self, plan: Plan) -> None:
        """The plan's changes, each once, before anything is changed."""
        fresh = [change for change in plan.changes if change not in self._told]
        self._told.update(fresh)
        if fresh:
            told = Plan(plan.stage, plan.items, fresh).described(plan.details or self._resolver.details(plan))
            self._context.journal.emit(PackagesPlanned(told))

    def _succeed(self, items: Sequence[PackRequirements]) -> None:
        self._good += items
        for item in items:
            self._done(item, None)

    def _refuse(self, item: PackRequirements, finished: Optional[Finished]) -> None:
        """A pack that goes with nothing; without an answer it is for what concerns all."""
        if finished is None and self._hopeless:
            self._fail([item], self._hopeless, None)
        elif finished is not None:
            self._fail([item], blame.of_pack(item, finished, self._planned, self._own), finished)

    def _fail(self, items: Sequence[PackRequirements], problem: Problem, finished: Optional[Finished]) -> None:
        for item in items:
            self._failures[item.name] = problem
            if finished is not None:
                path = self._context.task.node_log(item.name)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with open(str(path), "ab") as log:
                    log.write(finished.raw + b"\n")
            self._done(item, problem)

    def _log(self, items: Sequence[PackRequirements]) -> Path:
        if len(items) == 1:
            return self._context.task.node_log(items[0].name)
        return self._context.task.folder / "packages.log"
