"""One resolution, several stages: what comes as wheels, and pack by pack what has to be built."""

from __future__ import annotations

from typing import AbstractSet, FrozenSet, List, Optional, Tuple

from app.runner.requirements.lines import canonical
from app.runner.resolve.plan import LONG_BUILD, Change, Plan, is_wheel


def by_wheels(plan: Plan) -> Optional[Tuple[Optional[Plan], Optional[Plan]]]:
    """A plan as the part that needs no build and the part that does, which comes after it; None where it is not known
    what has to be built, or for whom. Both parts are of one answer, so that they go together."""
    details = plan.details
    if details is None or details.built is None:
        return None
    built = details.built
    wanting = [_behind(plan, change) for change in plan.changes if canonical(change.package) in built]
    if not all(wanting):
        return None
    builders = {name for names in wanting for name in names}
    first = [item for item in plan.items if item.name not in builders]
    names = {item.name for item in first}
    now: List[Change] = []
    later: List[Change] = []
    for change in plan.changes:
        behind = _behind(plan, change)
        needed = canonical(change.package) not in built and (not behind or bool(behind & names))
        (now if needed else later).append(change)
    rest = [item for item in plan.items if item.name in builders]
    after = Plan(LONG_BUILD, rest, later, details) if rest else None
    return (Plan(plan.stage, first, now, details) if first else None), after


def to_build(plan: Plan) -> List[Change]:
    """What of a plan has to be built: what has no wheel, and what comes from a repository or a source archive."""
    built = (plan.details.built if plan.details else None) or frozenset()
    return [
        change
        for change in plan.changes
        if change.new is not None
        and (canonical(change.package) in built or (change.source and not is_wheel(change.source)))
    ]


def for_packs(plan: Plan, names: FrozenSet[str]) -> Plan:
    """The part of a plan that these packs need. What nobody is known to need goes with whoever is first."""
    items = [item for item in plan.items if item.name in names]
    if len(items) == len(plan.items):
        return plan
    changes = []
    for change in plan.changes:
        behind = _behind(plan, change)
        if not behind or behind & names:
            changes.append(change)
    return Plan(plan.stage, items, changes, plan.details)


def is_divisible(plan: Plan) -> bool:
    """Whether it is known for whom each build is."""
    return len(plan.items) == 1 or all(_behind(plan, change) for change in to_build(plan))


def wanting(plan: Plan, change: Change) -> FrozenSet[str]:
    """The packs that a package is for; all of them where it is not known."""
    return frozenset(_behind(plan, change)) or frozenset(item.name for item in plan.items)


def _behind(plan: Plan, change: Change) -> AbstractSet[str]:
    return plan.details.wanted_by.get(canonical(change.package), frozenset()) if plan.details else frozenset()
