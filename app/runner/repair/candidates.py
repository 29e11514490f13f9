"""What is tried for a pack that fails by a version, the cheap and likely first: lines for the resolver, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from app.runner.repair.symptoms import Symptom
from app.runner.requirements.lines import bounds_of, name_of
from app.runner.requirements.upper_bounds import without_bounds, without_upper_bound
from app.runner.requirements.versions import is_older, is_version, satisfies
from app.runner.resolve.protection import read_requirements

_MOST_SINGLE = 5
_LONG_SERIES = 8


@dataclass(frozen=True)
class Candidate:
    """`lines`: what the resolver is asked for; `words`: what it is, for people; `keeps_all`: nothing that is installed
    may change for it."""

    words: str
    lines: Tuple[str, ...]
    keeps_all: bool = False


def own_downgrades(before: Mapping[str, str], now: Mapping[str, str]) -> Dict[str, str]:
    """The packages that this run has brought down, and the versions that they had."""
    return {
        name: version
        for name, version in before.items()
        if name in now and is_version(version) and is_older(now[name], than=version)
    }


def undoing_named(downgrades: Mapping[str, str], symptom: Symptom) -> Iterator[Candidate]:
    """This run's own downgrades that the failure names, taken back."""
    for name in sorted(name for name in downgrades if _is_named(name, symptom))[:_MOST_SINGLE]:
        yield _undone(name, downgrades[name])


def undoing(downgrades: Mapping[str, str], symptom: Symptom) -> Iterator[Candidate]:
    """This run's own downgrades taken back: each alone, those that the failure names first, then all."""
    names = sorted(downgrades, key=lambda name: (not _is_named(name, symptom), name))
    for name in names[:_MOST_SINGLE]:
        yield _undone(name, downgrades[name])
    if len(names) > 1:
        lines = tuple("%s==%s" % (name, downgrades[name]) for name in names)
        yield Candidate("everything back that this run brought to older versions (%s)" % ", ".join(names[:8]), lines)


def _is_named(name: str, symptom: Symptom) -> bool:
    return name in symptom.packages or re.search(r"\b%s\b" % re.escape(name), symptom.said, re.IGNORECASE) is not None


def _undone(name: str, version: str) -> Candidate:
    return Candidate("%s back at %s, as it was before this run" % (name, version), ("%s==%s" % (name, version),))


def bounds_of_its_own(symptom: Symptom, installed: Mapping[str, str]) -> Iterator[Candidate]:
    """What the pack asks for and did not get: older versions, or all that it requires, with the bounds of its lines
    relaxed one by one where they cannot be had as they stand."""
    lines = _lines(symptom, installed)
    older = [line for line in lines if without_upper_bound(line, installed) is not None]
    if older:
        yield Candidate("%s, as it asks" % ", ".join(older[:8]), tuple(older))
    problem = symptom.result.problem
    if problem is None or problem.code != "requirement_conflict":
        return
    bound = [line for line in lines if bounds_of(line) and without_bounds(line) != line]
    missed = [line for line in bound if _is_missed(line, installed)]
    for line in [*missed, *(other for other in bound if other not in missed)][:_MOST_SINGLE]:
        relaxed = tuple(without_bounds(each) if each == line else each for each in lines)
        yield Candidate("its other requirements, with %s instead of %s" % (without_bounds(line), line), relaxed, True)
    if bound:
        all_relaxed = tuple(without_bounds(line) for line in lines)
        yield Candidate("its requirements without their upper bounds", all_relaxed, True)
        yield Candidate("its requirements without their upper bounds, changing what is installed", all_relaxed)


def _lines(symptom: Symptom, installed: Mapping[str, str]) -> List[str]:
    """The pack's own, without what is held and without options, which count for its own plan alone."""
    result = symptom.result
    if result.requirements is None:
        return []
    try:
        read = read_requirements(result.requirements, result.folder, installed)
    except OSError:
        return []
    return [line for line in read.lines if not line.startswith("-")]


def _is_missed(line: str, installed: Mapping[str, str]) -> bool:
    name = name_of(line)
    return name in installed and satisfies(installed[name], bounds_of(line) or "") is False


def newer(package: str, version: str) -> str:
    """The line that asks for a newer version than the one that is there."""
    return "%s>%s" % (package, version.partition("+")[0])


def older(package: str, version: str) -> Sequence[str]:
    """Lines that ask for the newest version of an earlier series than this version's: of its minor one, of its major
    one. Packages that stay at 0.10 for years count on behind it: there it is a good part of that."""
    parts = [int(part) for part in version.partition("+")[0].split(".")[:3] if part.isdigit()]
    if len(parts) < 2:
        return []
    if parts[0] == 0 and len(parts) == 3 and parts[2] >= _LONG_SERIES:
        return ["%s<0.%d.%d" % (package, parts[1], parts[2] * 3 // 5 + 1), "%s<0" % package]
    return ["%s<%s.%s" % (package, parts[0], parts[1]), "%s<%s" % (package, parts[0])]
