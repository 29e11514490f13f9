"""Which packages have to go back, after packs' own code changed the environment, so that all that worked before still
gets what it needs. Only thought through: nothing is changed here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, FrozenSet, List, NamedTuple, Sequence, Set

from app.runner.environment.consistency import misfits
from app.runner.environment.environment import Distribution, Environment
from app.runner.environment.same_library import family_of
from app.runner.environment.torch_family import is_protected
from app.runner.guard.required import Requirement
from app.runner.requirements.lines import bounds_of
from app.runner.requirements.versions import satisfies


class Harm(NamedTuple):
    """Something that works no more. `package`: what would have to go back; `why`: a sentence."""

    package: str
    why: str


@dataclass
class WayBack:
    """`back`: packages (canonical names) that go back to what they were, and why; `lost`: those of them that must be
    installed again even where they seem to be there; `gone`: others of the same library, which must go for that;
    `left`: what is broken and no package of before can mend, a sentence each."""

    back: Dict[str, str] = field(default_factory=dict)
    lost: FrozenSet[str] = frozenset()
    gone: Set[str] = field(default_factory=set)
    left: List[str] = field(default_factory=list)


def way_back(
    was: Environment, now: Environment, required: Sequence[Requirement], *, lost: Sequence[str] = ()
) -> WayBack:
    """From `now` to an environment in which nothing is broken that was whole in `was`. What goes back may break what
    needed the newer one: then that goes back too, if it was there. `lost`: packages that must go back anyway."""
    found = WayBack({name: "it was lost half-way" for name in lost if name in was.distributions}, frozenset(lost))
    then = _gone_back(was, now, found)
    while True:
        harms = harms_of(was, then, required)
        fresh = [harm for harm in harms if harm.package not in found.back and _is_other(harm.package, was, then)]
        if not fresh:
            found.left = sorted({harm.why for harm in harms})
            return found
        for harm in fresh:
            found.back[harm.package] = harm.why
            found.gone.update(other for other in family_of(harm.package) if other not in was.distributions)
        then = _gone_back(was, now, found)


def harms_of(was: Environment, now: Environment, required: Sequence[Requirement]) -> List[Harm]:
    """What is broken now and was not before."""
    changed = {item.name for item in was.differences(now)}
    found = [
        Harm(name, "it belongs to the torch family, which stays as it is")
        for name in sorted(changed)
        if is_protected(name) and name in was.distributions
    ]
    for requirement in required:
        why = requirement.lost(was, now)
        if why:
            found.append(Harm(named(requirement.package, was), why))
    known = {complaint[:3] for complaint in misfits(was)}
    for complaint in sorted(misfits(now)):
        if complaint[:3] in known:
            continue
        wanted = named(complaint.wanted, was)
        bounds, before = bounds_of(complaint.line), was.packages.get(wanted)
        helps = before is not None and wanted in changed and (not bounds or satisfies(before, bounds) is not False)
        found.append(Harm(wanted if helps else complaint.by, complaint.text))
    return found


def named(package: str, was: Environment) -> str:
    """The name under which the library was there."""
    if package in was.distributions:
        return package
    return next((other for other in family_of(package) if other in was.distributions), package)


def _is_other(package: str, was: Environment, now: Environment) -> bool:
    """Whether it was there, and is not as it was."""
    before = was.distributions.get(package)
    return before is not None and _state(before) != _state(now.distributions.get(package))


def _state(found: object) -> object:
    return (found.version, found.direct_url, found.location) if isinstance(found, Distribution) else None


def _gone_back(was: Environment, now: Environment, found: WayBack) -> Environment:
    """How it would be then."""
    kept = {name: about for name, about in now.distributions.items() if name not in found.gone}
    kept.update({name: was.distributions[name] for name in found.back})
    return replace(now, distributions=kept)
