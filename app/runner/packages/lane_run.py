"""The lanes of one run: what agrees with the environment, at once; what wants a change; what has to be built, each by
itself. One bad pack costs only itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Optional, Sequence, Set

from app.protocol.events import Kind
from app.protocol.snapshot import Problem
from app.protocol.states import Phase, StepStatus
from app.runner.context import Context
from app.runner.daemon.children import Finished
from app.runner.hints import reasons
from app.runner.packages import blame
from app.runner.packages.apply import Applier
from app.runner.packages.lanes import Found, hopeless, largest_set, quick_set
from app.runner.packages.plan import AGREES, LONG_BUILD, WANTS_CHANGE, Change, Plan, Wanted
from app.runner.packages.resolver import Resolver

_NO_WHEEL = re.compile(r"no usable wheels|building from source is disabled|[Bb]uilding source distributions", re.DOTALL)
_NEEDS_BUILD = re.compile(r"git\+|^-e\s|^[./]|file://|\.(?:zip|tar\.gz)(?:$|[#;\s])")

Done = Callable[[Wanted, Optional[Problem]], None]
"""Called when a pack's requirements came to an end."""


class LaneRun:
    """Plans and carries out, lane by lane."""

    def __init__(
        self,
        context: Context,
        resolver: Resolver,
        applier: Optional[Applier],
        done: Done,
        own: FrozenSet[str],
    ) -> None:
        """`applier`: None for a plan that is not carried out; `own`: the packages that ComfyUI itself requires."""
        self._context = context
        self._resolver = resolver
        self._applier = applier
        self._done = done
        self._own = own
        self._good: List[Wanted] = []
        self._builders: Set[str] = set()
        self._told: Set[Change] = set()
        self._failures: Dict[str, Problem] = {}
        self._hopeless: Optional[Problem] = None

    def run(self, wanted: Sequence[Wanted]) -> None:
        """Everything for these packs. Raises RunCancelled."""
        found = self.agreeing(wanted)
        self._context.phase(
            Phase.RESOLVE, StepStatus.SUCCESS, "%d of %d agree with what is installed" % (len(found.kept), len(wanted))
        )
        if self._applier is not None:
            self._context.phase(Phase.INSTALL, StepStatus.RUNNING)
        self._carry_out(AGREES, found)
        rest = [item for item in found.left if item.name not in self._builders]
        found = largest_set(rest, self._with_changes)
        self._carry_out(WANTS_CHANGE, found)
        settled = {item.name for item in self._good} | set(self._failures)
        for item in wanted:
            if item.name not in settled:
                self._alone(item)
        if self._applier is not None:
            self._context.phase(Phase.INSTALL, StepStatus.SUCCESS)

    def agreeing(self, wanted: Sequence[Wanted]) -> Found:
        """The packs of the first lane. Those that cannot be in it are told by their own lines."""
        for item in wanted:
            if any(_NEEDS_BUILD.search(line) for line in item.lines):
                self._builders.add(item.name)
        able = [
            item for item in wanted if item.name not in self._builders and not item.mismatches(self._resolver.installed)
        ]
        found = quick_set(able, self._unchanged)
        return Found(found.kept, [item for item in wanted if item not in found.kept], found.answer)

    def _unchanged(self, items: Sequence[Wanted]) -> Finished:
        return self._noted(items, self._resolver.solve(items, exact=True, builds=False))

    def _with_changes(self, items: Sequence[Wanted]) -> Finished:
        return self._noted(items, self._resolver.solve(items, exact=False, builds=False, base=self._good))

    def _noted(self, items: Sequence[Wanted], finished: Finished) -> Finished:
        """Who needs something without a wheel is not asked again before the builds."""
        if not finished.ok and _NO_WHEEL.search(finished.output):
            self._builders.update(item.name for item in blame.suspects(items, finished.output))
        return finished

    def _carry_out(self, lane: str, found: Found) -> None:
        """Installs a set of packs; whoever needs what cannot be fetched or built is left out, and the rest goes on."""
        while found.kept and found.answer is not None:
            plan = Plan(lane, found.kept, self._resolver.changes(found.answer))
            self._tell(plan)
            if self._applier is None:
                self._good += found.kept
                return
            finished = self._applier.apply(plan, self._log(found.kept))
            if finished.ok:
                self._resolver.carried_out(plan.changes)
                self._succeed(found.kept)
                return
            found = self._without_the_failed(lane, found, finished)

    def _without_the_failed(self, lane: str, found: Found, finished: Finished) -> Found:
        package = blame.failed_package(finished.output)
        if package is None or hopeless(found.kept, finished) or package in self._resolver.blocked:
            self._fail(found.kept, reasons.of_packages(finished), finished)
            return Found([], [], None)
        self._resolver.unavailable(package)
        exact, builds = lane == AGREES, lane == LONG_BUILD

        def solve(items: Sequence[Wanted]) -> Finished:
            return self._resolver.solve(items, exact=exact, builds=builds, base=self._good)

        rest = largest_set(found.kept, solve)
        self._fail(rest.left, blame.of_package(package, finished), finished)
        return Found(rest.kept, [], rest.answer)

    def _alone(self, item: Wanted) -> None:
        """A pack that must be built, or that goes with nothing: by itself, beside what is installed for the others."""
        if self._hopeless and not item.options:
            self._fail([item], self._hopeless, None)
            return
        finished = self._resolver.solve([item], exact=False, builds=True, base=self._good)
        if finished.ok:
            self._carry_out(LONG_BUILD, Found([item], [], finished))
            return
        problem = blame.of_pack(item, finished, self._good, self._own)
        if hopeless([item], finished):
            self._hopeless = problem
        self._fail([item], problem, finished)

    def _tell(self, plan: Plan) -> None:
        """The plan's changes, each once, before anything is changed."""
        fresh = [change for change in plan.changes if change not in self._told]
        self._told.update(fresh)
        if fresh:
            self._context.journal.tell(Kind.PLAN, changes=Plan(plan.lane, plan.items, fresh).to_json())

    def _succeed(self, items: Sequence[Wanted]) -> None:
        self._good += items
        for item in items:
            self._done(item, None)

    def _fail(self, items: Sequence[Wanted], problem: Problem, finished: Optional[Finished]) -> None:
        for item in items:
            self._failures[item.name] = problem
            if finished is not None:
                path = self._context.task.node_log(item.name)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with open(str(path), "ab") as log:
                    log.write(finished.raw + b"\n")
            self._done(item, problem)

    def _log(self, items: Sequence[Wanted]) -> Path:
        if len(items) == 1:
            return self._context.task.node_log(items[0].name)
        return self._context.task.folder / "packages.log"
