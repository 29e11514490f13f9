"""One resolution, two stages: what comes as wheels, and the packs that need something which has to be built."""

from __future__ import annotations

from typing import AbstractSet, List, Optional, Tuple

from app.runner.requirements.lines import canonical
from app.runner.resolve.plan import LONG_BUILD, Change, Plan


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


def _behind(plan: Plan, change: Change) -> AbstractSet[str]:
    return plan.details.wanted_by.get(canonical(change.package), frozenset()) if plan.details else frozenset()
