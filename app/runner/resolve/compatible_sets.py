"""Which packs go together: found with few resolutions, since each takes seconds.

A resolution fails fast and names what it failed on, so most searches end after one try for each pack that does not fit;
halving is what remains where uv names nobody.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Callable, FrozenSet, List, Mapping, Optional, Sequence

from app.runner.hints import reasons
from app.runner.process.children import Finished
from app.runner.requirements.left_out import LeftOut
from app.runner.resolve.blame import is_of_an_address, suspects
from app.runner.resolve.plan import PackRequirements

_NO_WHEEL = re.compile(r"no usable wheels|building from source is disabled|[Bb]uilding source distributions")
NEEDS_BUILD = re.compile(r"git\+|^-e\s|^[./]|file://|\.(?:zip|tar\.gz)(?:$|[#;\s])")
"""Lines whose package can be known only by building it."""
_MOST_LEFT_OUT_BY_ONE = 6
_NOBODYS_FAULT = frozenset({"disk_full", "registry_not_reached", "no_installer"})
Solve = Callable[[Sequence[PackRequirements]], Finished]
"""Resolves these packs' requirements together; changes nothing. Raises RunCancelled."""


@dataclass
class CompatibleSet:
    """Packs that resolve together (with uv's answer for exactly these), and the others."""

    kept: List[PackRequirements]
    left: List[PackRequirements]
    answer: Optional[Finished]


@dataclass(frozen=True)
class PrefetchResult:
    """What was found out while clones ran, by packs' names: who needs something without a wheel, and who does not agree
    with what is installed."""

    builders: FrozenSet[str] = frozenset()
    disagree: FrozenSet[str] = frozenset()
    fresh: FrozenSet[str] = frozenset()
    """The packages (canonical names) that were asked for on the network in this run: uv's cache is true of them."""
    failed: Sequence[Finished] = ()
    """Answers that failed since a package could not be fetched or built."""
    left_out: Mapping[str, Sequence[LeftOut]] = field(default_factory=dict)
    """Lines that cannot be had, by packs' names."""
    answered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For whom `answer` is: packs' names and lines."""
    answer: Optional[Finished] = None
    """The last answer with every installed package as it is."""

    def answer_for(self, items: Sequence[PackRequirements]) -> Optional[Finished]:
        """The answer, if it is for just these packs as they are now."""
        return self.answer if {item.name: item.lines for item in items} == self.answered else None


def needs_build(finished: Finished) -> bool:
    """Whether a resolution of wheels alone failed because something has none."""
    return not finished.ok and _NO_WHEEL.search(finished.output) is not None


def hopeless(items: Sequence[PackRequirements], finished: Finished) -> bool:
    """Whether nothing of it is any pack's fault: leaving packs out, one after another, would only take long. An index
    of a pack's own that does not answer is its fault, and so is an address in its lines."""
    if finished.stopped:
        return True
    code = reasons.of_packages(finished).code
    if code == "registry_not_reached" and is_of_an_address(finished):
        return False
    return code in _NOBODYS_FAULT and not any(item.own for item in items)


def quick_set(items: Sequence[PackRequirements], solve: Solve) -> CompatibleSet:
    """Packs that resolve together, quickly: all that uv names when it fails are left out at once, innocent or not. For
    a first stage, whose leftovers get another chance."""
    kept: List[PackRequirements] = list(items)
    while kept:
        finished = solve(kept)
        if finished.ok:
            return _sorted(items, kept, finished)
        if hopeless(kept, finished):
            break
        accused = suspects(kept, finished.output)
        if not accused:
            return _by_halves(items, kept, solve)
        kept = [item for item in kept if item not in accused]
    return _sorted(items, [], None)


def largest_set(items: Sequence[PackRequirements], solve: Solve) -> CompatibleSet:
    """As many packs as resolve together. A pack that uv names alone is left out; of those that it names together, as
    many stay as go together; what uv does not explain is found by halving."""
    kept = list(items)
    while kept:
        finished = solve(kept)
        if finished.ok:
            return _sorted(items, kept, finished)
        if hopeless(kept, finished):
            break
        accused = suspects(kept, finished.output)
        out = _left_out_of(accused, solve) if accused else []
        if not out:
            return _by_halves(items, kept, solve)
        kept = [item for item in kept if item not in out]
    return _sorted(items, [], None)


def _left_out_of(accused: List[PackRequirements], solve: Solve) -> List[PackRequirements]:
    """Who of the accused has to go: one alone if that is enough, the later one of equals; none if they all go
    together."""
    if len(accused) == 1:
        return accused
    if len(accused) <= _MOST_LEFT_OUT_BY_ONE:
        one = _one_too_many(accused, solve)
        if one:
            return [one]
    forward = _greedy(accused, [], solve)
    backward = _greedy(accused[::-1], [], solve)
    kept = max((forward, backward), key=len)
    return [item for item in accused if item not in kept]


def _one_too_many(accused: List[PackRequirements], solve: Solve) -> Optional[PackRequirements]:
    """The one without whom the others go together; two tries at a time."""

    def goes_without(one: PackRequirements) -> bool:
        return solve([item for item in accused if item is not one]).ok

    with ThreadPoolExecutor(2, thread_name_prefix="resolve") as pool:
        tried = list(pool.map(goes_without, accused))
    return next((item for item, good in zip(reversed(accused), reversed(tried)) if good), None)


def _by_halves(items: Sequence[PackRequirements], kept: List[PackRequirements], solve: Solve) -> CompatibleSet:
    good = _greedy(kept, [], solve)
    return _sorted(items, good, solve(good) if good else None)


def _greedy(items: List[PackRequirements], base: List[PackRequirements], solve: Solve) -> List[PackRequirements]:
    """What can be added to `base`, in order; about two resolutions a bad pack for each halving."""
    if not items or solve(base + items).ok:
        return items
    if len(items) == 1:
        return []
    middle = len(items) // 2
    first = _greedy(items[:middle], base, solve)
    return first + _greedy(items[middle:], base + first, solve)


def _sorted(
    items: Sequence[PackRequirements], kept: Sequence[PackRequirements], finished: Optional[Finished]
) -> CompatibleSet:
    chosen = [item for item in items if item in kept]
    return CompatibleSet(chosen, [item for item in items if item not in kept], finished)
