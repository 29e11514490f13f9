"""The stages of one run: what agrees with the environment, at once; what wants a change; what has to be built, pack by
pack. One bad pack costs only itself.

Each stage is planned while the ones before it are installed. An answer that wants something else of what is just being
installed is not used: it is asked for again when that is there. Nobody waits for a build that it does not need: packs
that need one are planned, built and installed beside the others (`late_packs`).
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Callable, List, Optional, Protocol, Sequence, Set, Tuple

from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.process.children import Finished
from app.runner.resolve import blame
from app.runner.resolve.builds import Builds
from app.runner.resolve.compatible_sets import (
    NEEDS_BUILD,
    CompatibleSet,
    PrefetchResult,
    largest_set,
    needs_build,
    quick_set,
)
from app.runner.resolve.install_queue import InstallQueue
from app.runner.resolve.late_packs import LatePacks
from app.runner.resolve.ledger import Ledger
from app.runner.resolve.plan import AGREES, WANTS_CHANGE, PackRequirements, Plan
from app.runner.resolve.resolver import Resolver
from app.runner.resolve.split_builds import by_wheels

_LOOK_SECONDS = 0.5
_MOST_AGAIN = 4
"""How often the first stage is asked for again without lines that nobody can have; whoever has more comes later."""
Disturbs = Callable[[Finished], bool]
"""Whether an answer wants something else of what uv could not see yet when it was asked."""


class PrefetchState(Protocol):
    """What was found out beside the clones; `of_all`: waits for what is being found out. Raises RunCancelled."""

    def __call__(self, *, of_all: bool = False) -> PrefetchResult:
        """It, as it is now."""


class _InVain(Exception):
    """An earlier stage failed: what is planned on its success is not wanted any more."""


class StageRun:
    """Plans and carries out, stage by stage. For one thread."""

    def __init__(
        self,
        context: Context,
        resolver: Resolver,
        ledger: Ledger,
        builds: Optional[Builds],
        *,
        known: PrefetchState,
        wake: threading.Event,
        waiting: Callable[[int], None],
    ) -> None:
        """`builds`: None for plans that are not carried out; `known`: what was found out beside the clones; `wake` is
        set when something can go on; `waiting` is told how many packages are still to come for builds."""
        self._context = context
        self._resolver = resolver
        self._ledger = ledger
        self._ask_prefetch = known
        self._known = known()
        self._builders: Set[str] = set(self._known.builders)
        self._wake = wake
        self._waiting = waiting
        self._late = LatePacks(resolver, ledger, builds, wake.set)
        self._resolved = False
        self._seen: Tuple[int, int] = (0, 0)
        """Of the ledger and of packs' scripts, when uv was shown the environment last."""

    def run(self, wanted: Sequence[PackRequirements]) -> None:
        """Everything for these packs, beside what earlier calls have brought, but for those that are late: `go_on` does
        what can be done for them. Raises RunCancelled."""
        if self._resolved:
            self._known = replace(self._ask_prefetch(), answer=None)  # it is of how all was before
            self._builders |= self._known.builders
        for finished in self._known.failed:
            self._ledger.note_failed(finished)
        for item in wanted:
            for each in self._known.left_out.get(item.name, ()):
                item.leave_out(each)
        left = list(wanted)
        while left:
            left = self._round(left)

    def go_on(self) -> None:
        """What can be done for late packs now. Raises RunCancelled."""
        self._round([])

    @property
    def is_over(self) -> bool:
        """Whether every pack came to its end."""
        return not self._late.names

    @property
    def only_builds_left(self) -> bool:
        """Whether nothing can be done for any pack before a build ends."""
        return self._late.only_builds_left

    def end(self) -> None:
        """Ends what runs in the background."""
        self._late.end()

    def _round(self, wanted: Sequence[PackRequirements]) -> List[PackRequirements]:
        """Plans each stage while earlier ones are installed. Returns the packs that must be planned again because a
        stage failed; packs that caused the failure are excluded."""
        self._show_changes()
        self._late.leave_out_failed()
        with InstallQueue(self._ledger.carry_out) as queue:
            with suppress(_InVain):
                if wanted:
                    self._plan_all(wanted, queue)
                self._go_on(queue)
            failed = queue.wait()
        if failed:
            self._refresh()
            self._ledger.leave_out(*failed)
        self._late.landed()
        self._waiting(self._late.packages)
        late = self._late.names
        return [item for item in wanted if not self._ledger.is_settled(item) and item.name not in late]

    def _show_changes(self) -> None:
        """Nothing is being installed: uv sees what was installed since the last time, by packs' scripts too."""
        now = (self._ledger.carried_out, self._context.changes_by_scripts)
        if now != self._seen:
            self._ledger.moves += now[1] != self._seen[1]
            self._seen = now
            self._refresh()

    def _refresh(self) -> None:
        """Not while a script is at work on the environment. Raises OSError, RunCancelled."""
        with self._context.environment_lock.for_packages():
            self._resolver.refresh()

    def _go_on(self, queue: InstallQueue) -> None:
        if not queue.busy and queue.is_good:
            self._late.landed()
        self._late.go_on(queue)
        self._waiting(self._late.packages)

    # -- making plans ------------------------------------------------------------------------------------------------

    def _plan_all(self, wanted: Sequence[PackRequirements], queue: InstallQueue) -> None:
        for item in wanted:
            if item.own is not None:
                self._late.add([item])
        wanted = [item for item in wanted if item.own is None]
        found, first, built = self._agreeing(wanted)
        self._emit_resolved(len(found.kept), len(wanted))
        self._add(first, queue)
        if built is not None:
            self._late.add_planned(built)
        rest = [item for item in found.left if item.name not in self._builders]
        other, disturbs = self._changing(rest, queue)
        if other.answer is not None and disturbs(other.answer):
            self._wait(queue)
            other, _ = self._changing(rest, queue)
        self._add(self._plan_of(WANTS_CHANGE, other), queue)
        self._plan_rest([item for item in wanted if not self._is_planned(item)])

    def _is_planned(self, item: PackRequirements) -> bool:
        return item in self._ledger.planned or self._ledger.is_settled(item) or item.name in self._late.names

    def _emit_resolved(self, agreeing: int, wanted: int) -> None:
        """Once: the later stages are resolved while the first one is installed."""
        if self._resolved:
            return
        self._resolved = True
        text = "%d of %d agree with what is installed" % (agreeing, wanted)
        self._context.phase(Phase.RESOLVE, StepStatus.SUCCESS, text)
        if not self._ledger.only_plans:
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
        for _ in range(_MOST_AGAIN):
            if not self._ledger.leave_out_unknown(items, finished):
                break
            finished = self._resolver.agreeing(items, self._known)
        if not finished.ok and blame.failed_package(finished.output):
            self._builders.update(item.name for item in blame.suspects(items, finished.output))
            self._ledger.note_failed(finished)
        return finished

    def _changing(self, rest: Sequence[PackRequirements], queue: InstallQueue) -> Tuple[CompatibleSet, Disturbs]:
        """The largest set of these that goes together, beside all that was planned, while that is installed, which
        comes first; late packs go on meanwhile. And what tells whether the answer has to be made again."""
        base = [*self._ledger.planned, *self._late.items]
        settled = sorted(self._late.built)
        asked, changes = self._resolver.asked(), self._context.changes_by_scripts

        def disturbs(answer: Finished) -> bool:
            if self._ledger.only_plans:
                return False
            return changes != self._context.changes_by_scripts or self._resolver.disturbs(answer, asked, settled)

        def solve(items: Sequence[PackRequirements]) -> Finished:
            known = self._ask_prefetch(of_all=True)
            finished = self._resolver.with_changes(
                items, base, known, settled=settled, low_priority=not self._ledger.only_plans
            )
            return self._noted(items, finished)

        with ThreadPoolExecutor(1, thread_name_prefix="resolve") as pool:
            answer = pool.submit(largest_set, rest, solve)
            answer.add_done_callback(lambda _future: self._wake.set())
            self._until_done(answer, queue)
            return answer.result(), disturbs

    def _until_done(self, answer: Future[CompatibleSet], queue: InstallQueue) -> None:
        while not answer.done():
            self._wake.wait(_LOOK_SECONDS)  # uv's own limits are the deadline
            self._wake.clear()
            self._go_on(queue)

    def _noted(self, items: Sequence[PackRequirements], finished: Finished) -> Finished:
        """Who needs something without a wheel is not asked again before the builds."""
        if needs_build(finished):
            self._builders.update(item.name for item in blame.suspects(items, finished.output))
        return finished

    def _plan_rest(self, items: Sequence[PackRequirements]) -> None:
        """What has to be built, in one resolution, and what goes with nothing, each by itself beside the others."""
        together = [item for item in items if item.name in self._builders]
        for item in items:
            if item not in together:
                self._late.add([item])
        self._late.add(together)

    def _wait(self, queue: InstallQueue) -> None:
        """Until what is just being installed is there. Raises _InVain."""
        if queue.wait():
            raise _InVain
        self._show_changes()

    def _plan_of(self, stage: str, found: CompatibleSet) -> Optional[Plan]:
        if not found.kept or found.answer is None:
            return None
        return Plan(stage, found.kept, self._resolver.changes(found.answer))

    def _add(self, plan: Optional[Plan], queue: InstallQueue) -> None:
        """A stage, to be carried out after the others."""
        if plan is not None:
            self._ledger.enter(plan)
            queue.add(plan)
