"""The packs that others do not wait for: those that need something built, and those that fit nothing at first.

For them uv is asked in the background, what has to be built is built by itself, and each pack's packages are installed
as soon as its own builds have ended. An answer that was overtaken by what was installed meanwhile is asked for again:
what was built is in uv's cache by then.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable, FrozenSet, List, Optional, Sequence, Set

from app.protocol.snapshot import Problem
from app.runner.hints import reasons
from app.runner.process.children import Finished
from app.runner.requirements.lines import canonical
from app.runner.resolve import split_builds
from app.runner.resolve.builds import Builds, Built
from app.runner.resolve.compatible_sets import hopeless
from app.runner.resolve.install_queue import InstallQueue
from app.runner.resolve.ledger import Ledger
from app.runner.resolve.no_builds import leave_out_unbuilt, was_refused
from app.runner.resolve.plan import LONG_BUILD, Change, PackRequirements, Plan, own_of
from app.runner.resolve.resolver import Asked, Resolver

_AT_ONCE = 6
"""More than two for the sake of those that wait for a build of others: uv locks what it builds."""
_ANSWER_SECONDS = 10.0
"""An answer that takes longer has to build something to know what it requires."""


@dataclass(eq=False)
class _Group:
    """Packs that are planned together. Without a plan uv is being asked, or will be."""

    items: List[PackRequirements]
    moves: int = -1
    """The ledger's when uv was asked."""
    asked: Optional[Asked] = None
    asked_at: float = 0.0
    """By the monotonic clock, in seconds."""
    question: Optional[Future[Optional[Finished]]] = None
    plan: Optional[Plan] = None
    flying: List[Plan] = field(default_factory=list)
    """Its pieces that are to be installed next, or are being installed."""


class LatePacks:
    """One run's; for the planning thread. `builds`: None where nothing is carried out. `wake` is called, from any
    thread, when something can go on."""

    def __init__(self, resolver: Resolver, ledger: Ledger, builds: Optional[Builds], wake: Callable[[], None]) -> None:
        self._resolver = resolver
        self._ledger = ledger
        self._builds = builds
        self._wake = wake
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="late")
        self._groups: List[_Group] = []
        self._hopeless: Optional[Problem] = None

    def add_planned(self, plan: Plan) -> None:
        """Packs with a plan, of which something has to be built: that begins now."""
        group = _Group(list(plan.items), self._ledger.moves)
        self._groups.append(group)
        self._begin(group, plan)

    def add(self, items: Sequence[PackRequirements]) -> None:
        """Packs to be planned together, or each by itself if that cannot be."""
        if items:
            group = _Group(list(items))
            self._groups.append(group)
            self._ask(group)

    @property
    def items(self) -> List[PackRequirements]:
        """Those with a plan, but for what is being installed."""
        flying = {item.name for group in self._groups for plan in group.flying for item in plan.items}
        waiting = [item for group in self._groups if group.plan for item in group.items if not item.unbuilt]
        return [item for item in waiting if item.name not in flying]

    @property
    def names(self) -> FrozenSet[str]:
        """All packs that have not come to an end yet."""
        return frozenset(item.name for group in self._groups for item in group.items)

    @property
    def only_builds_left(self) -> bool:
        """Whether nothing can be done for anybody before a build ends."""
        return not any(self._is_soon(group) for group in self._groups)

    def _is_soon(self, group: _Group) -> bool:
        if group.plan is None:
            return time.monotonic() - group.asked_at < _ANSWER_SECONDS
        return bool(group.flying or self._ready(group.plan) or self._has_failed(group))

    @property
    def built(self) -> FrozenSet[str]:
        """The packages (canonical names) that are built for them: a resolution of wheels alone cannot see these."""
        plans = [group.plan for group in self._groups if group.plan]
        return frozenset(canonical(change.package) for plan in plans for change in split_builds.to_build(plan))

    @property
    def packages(self) -> int:
        """How many packages are still to be installed for them, as far as it is known."""
        plans = [group.plan for group in self._groups if group.plan]
        return len({change for plan in plans for change in self._resolver.still_to_come(plan.changes)})

    def go_on(self, queue: InstallQueue) -> None:
        """Takes the answers that have come, and hands over what can be installed. Raises RunCancelled."""
        for group in list(self._groups):
            if group.flying:
                continue
            if group.question is None and group.plan is None and self._resolver.asked() != group.asked:
                self._ask(group)
            if group.question is not None and group.question.done():
                self._take_answer(group)
            if group.plan is not None and self._is_overtaken(group):
                self._ask_again(group)
            elif group.plan is not None:
                self._install_some(group, queue)

    def landed(self) -> None:
        """Nothing is being installed any more: whoever is not settled by it is asked for again."""
        for group in list(self._groups):
            if group.flying:
                group.flying = []
                self._keep_open(group)
        self._prune()

    def leave_out_failed(self) -> None:
        """What could not be built costs the packs that cannot do without it. Only while nothing is being installed.
        Raises RunCancelled."""
        for group in list(self._groups):
            for change in split_builds.to_build(group.plan) if group.plan and self._builds else ():
                built = self._ended(change)
                if built is not None and built.problem is not None and group.plan is not None:
                    self._without(group, change, built)
        self._prune()

    def end(self) -> None:
        """Ends what runs in the background."""
        self._pool.shutdown()
        if self._builds is not None:
            self._builds.end()

    # -- asking uv -----------------------------------------------------------------------------------------------------

    def _ask(self, group: _Group) -> None:
        """In the background, on top of what is planned by now."""
        items, base = list(group.items), list(self._ledger.planned)
        group.plan, group.moves, group.asked = None, self._ledger.moves, self._resolver.asked()
        group.asked_at = time.monotonic()
        group.question = self._pool.submit(self._solve, items, base)
        group.question.add_done_callback(lambda _future: self._wake())

    def _ask_again(self, group: _Group) -> None:
        """For the packs that wait for no build; for the others uv would only wait for it, too."""
        assert group.plan is not None
        busy = self._waiting(group.plan, self._is_at_work)
        able = [item for item in group.items if item.name not in busy]
        group.items = [item for item in group.items if item.name in busy]
        if not busy:
            self._groups.remove(group)
        else:
            group.plan = split_builds.for_packs(group.plan, busy)
        self.add(able)

    def _solve(self, items: Sequence[PackRequirements], base: Sequence[PackRequirements]) -> Optional[Finished]:
        """uv's answer; None where there is no hope of any."""
        own = own_of(items)
        if self._hopeless and own is None:
            return None
        if own is not None and own.prefers_wheels:
            finished = self._resolver.solve(items, exact=False, builds=False, base=base)
            if finished.ok:
                return finished
        unbuilt = sorted({each.package for item in items for each in item.unbuilt})
        return self._resolver.solve(items, exact=False, builds=True, base=base, settled=unbuilt)

    def _take_answer(self, group: _Group) -> None:
        assert group.question is not None
        assert group.asked is not None
        answer, group.question = group.question.result(), None
        if answer is not None and answer.ok:
            if group.moves != self._ledger.moves and not self._ledger.only_plans:
                self._ask(group)
                return
            if not self._ledger.only_plans and self._resolver.disturbs(answer, group.asked):
                return  # it is asked for again when uv sees what is being installed
            plan = Plan(LONG_BUILD, list(group.items), self._resolver.changes(answer))
            plan.details = self._resolver.details(plan)
            if not split_builds.is_divisible(plan):
                self._singly(group)
                return
            self._begin(group, plan)
        else:
            self._take_refusal(group, answer)

    def _take_refusal(self, group: _Group, answer: Optional[Finished]) -> None:
        if answer is not None and hopeless(group.items, answer):
            self._hopeless = reasons.of_packages(answer)
        is_news = answer is not None and self._ledger.note_failed(answer)
        is_old = group.moves != self._ledger.moves and not self._ledger.only_plans
        if is_news or (answer is not None and is_old):
            self._ask(group)  # once more, without trying that again
        elif len(group.items) > 1:
            self._singly(group)
        elif (
            answer is not None
            and was_refused(answer)
            and leave_out_unbuilt(group.items[0], answer, self._resolver.alone)
        ):
            self._ask(group)
        else:
            self._groups.remove(group)
            if answer is not None:
                self._ledger.refuse(group.items[0], answer)
                self.add([item for item in group.items if not self._ledger.is_settled(item)])
            elif self._hopeless is not None:
                self._ledger.fail(group.items, self._hopeless, None)

    def _singly(self, group: _Group) -> None:
        """Each of them by itself."""
        self._groups.remove(group)
        for item in group.items:
            self.add([item])

    # -- building and installing ---------------------------------------------------------------------------------------

    def _begin(self, group: _Group, plan: Plan) -> None:
        group.plan = plan
        for change in split_builds.to_build(plan) if self._builds is not None else ():
            assert self._builds is not None
            names = split_builds.wanting(plan, change)
            self._builds.want(change, own_of(plan.items), sorted(names))

    def _is_overtaken(self, group: _Group) -> bool:
        """Whether something that was there is another one by now, or what comes is there in another version."""
        assert group.plan is not None
        if self._ledger.only_plans:  # uv would see no more if it was asked again
            return False
        expected = self._resolver.expected
        return group.moves != self._ledger.moves or any(
            not change.source and expected.get(canonical(change.package)) not in (change.old, change.new)
            for change in group.plan.changes
        )

    def _install_some(self, group: _Group, queue: InstallQueue) -> None:
        """Hands over what the packs need whose builds have all ended well."""
        plan = group.plan
        assert plan is not None
        ready = self._ready(plan)
        if not ready:
            return
        piece = split_builds.for_packs(plan, ready)
        piece.changes = self._resolver.still_to_come(piece.changes)
        group.flying.append(piece)
        self._ledger.enter(piece)
        queue.add(piece)

    def _ready(self, plan: Plan) -> FrozenSet[str]:
        """The packs whose builds have all ended well."""
        return frozenset(item.name for item in plan.items) - self._waiting(plan, self._is_missing)

    def _waiting(self, plan: Plan, for_what: Callable[[Change], bool]) -> FrozenSet[str]:
        """The packs that want a build of which this holds."""
        names: Set[str] = set()
        for change in split_builds.to_build(plan) if self._builds is not None else ():
            if for_what(change):
                names |= split_builds.wanting(plan, change)
        return frozenset(names)

    def _is_at_work(self, change: Change) -> bool:
        return self._ended(change) is None

    def _is_missing(self, change: Change) -> bool:
        built = self._ended(change)
        return built is None or built.problem is not None

    def _has_failed(self, group: _Group) -> bool:
        found = [self._ended(change) for change in split_builds.to_build(group.plan)] if group.plan else []
        return any(built is not None and built.problem is not None for built in found)

    def _ended(self, change: Change) -> Optional[Built]:
        return self._builds.ended(change.pinned) if self._builds is not None else None

    def _without(self, group: _Group, change: Change, built: Built) -> None:
        assert built.problem is not None
        assert group.plan is not None
        names = split_builds.wanting(group.plan, change)
        self._ledger.cannot_be_had(change.package, built.problem)
        wanting = [item for item in group.items if item.name in names]
        self._ledger.fail_wanting(wanting, built.problem, built.finished)
        able = [item for item in wanting if not self._ledger.is_settled(item)]  # they can do without it
        group.items = [item for item in group.items if item not in able]
        self._keep_open(group)
        self.add(able)

    def _keep_open(self, group: _Group) -> None:
        """Those of its packs that have not come to an end, with the rest of the plan: whether it still holds is looked
        at before it is used."""
        plan, group.items = group.plan, [item for item in group.items if not self._ledger.is_settled(item)]
        if plan is None or not group.items:
            return
        group.plan = split_builds.for_packs(plan, frozenset(item.name for item in group.items))

    def _prune(self) -> None:
        """Who is settled is late no more; builds that nobody waits for are ended."""
        self._groups = [group for group in self._groups if group.items]
        plans = [group.plan for group in self._groups]
        if self._builds is not None and all(plans):
            self._builds.keep_only([change.pinned for plan in plans if plan for change in split_builds.to_build(plan)])
