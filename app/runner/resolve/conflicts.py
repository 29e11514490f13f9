"""Who the other party of a conflict is: of all that ask for a package, those that really stand against a pack.

uv says what it was asked for (`you require numpy>=2 and numpy<2`), not by whom; several packs name numpy, and most of
them would take either. Bounds are held against each other at the versions that they name, and beside those.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Dict, List, Sequence

from app.runner.environment.torch_family import protected_name
from app.runner.requirements.lines import bounds_of, canonical, name_of
from app.runner.requirements.versions import satisfies
from app.runner.resolve.plan import PackRequirements

_REQUIRED = re.compile(r"(?:you require|and your project depends on)\s+((?:[^.,]|[.,](?=\S))*)")
_ASKED = re.compile(r"(?<![\w.-])([A-Za-z0-9][A-Za-z0-9._-]*?)(?:\[[^\]]*\])?((?:[<>=!~]=?=?[^\s,]+,?)*)(?=[\s,.:]|$)")
_BOUND = re.compile(r"[<>=!~]+\s*([^\s,<>=!~]+)")
_MOST_LINES = 3


def find_conflicts(
    item: PackRequirements, others: Sequence[PackRequirements], own: Sequence[str], image: Sequence[str], text: str
) -> List[str]:
    """Who stands against `item`, each with the lines that do. `own`: what ComfyUI requires and what of the torch
    family is kept, as lines; `image`: the machine's own constraints; `text`: uv's explanation in one line."""
    asked = _asked(text)
    for opposes in (partial(_contradicts, asked, item), partial(_is_meant, asked)):
        found = [(other.name, [line for line in other.lines if opposes(line)]) for other in others]
        kept = [line for line in own if opposes(line)]
        found.append(("ComfyUI", [line for line in kept if protected_name(line) is None]))
        found.append(
            ("the installed torch family, which is kept", [line for line in kept if protected_name(line) is not None])
        )
        found.append(("this machine's own constraints for pip and uv", [line for line in image if opposes(line)]))
        named = ["%s (%s)" % (name, ", ".join(lines[:_MOST_LINES])) for name, lines in found if lines]
        if named:
            return named
    return []


def own_conflict(item: PackRequirements) -> List[str]:
    """Two lines of the pack that exclude each other; empty where there are none."""
    known: Dict[str, List[str]] = {}
    for line in item.lines:
        name, bounds = name_of(line), bounds_of(line)
        for other in known.get(name, []) if name and bounds else ():
            if not _go_together(bounds or "", bounds_of(other) or ""):
                return [other, line]
        if name and bounds:
            known.setdefault(name, []).append(line)
    return []


def _asked(text: str) -> Dict[str, List[str]]:
    """What uv says was asked for directly: bounds by name, empty ones for a bare name."""
    found: Dict[str, List[str]] = {}
    for part in _REQUIRED.findall(text):
        for name, bounds in _ASKED.findall(part):
            found.setdefault(canonical(name), []).append(bounds.rstrip(","))
    return found


def _contradicts(asked: Dict[str, List[str]], item: PackRequirements, line: str) -> bool:
    """The line and one of the pack's own exclude each other; where the pack has none about that package, the line is
    what uv names."""
    name, bounds = name_of(line), bounds_of(line)
    if name not in asked or bounds is None:
        return False
    mine = [bounds_of(each) for each in item.lines if name_of(each) == name]
    if mine:
        return any(each is not None and not _go_together(bounds, each) for each in mine)
    return _is_meant(asked, line)


def _is_meant(asked: Dict[str, List[str]], line: str) -> bool:
    """uv may have got what it names from this line: where that has bounds, a line without is not meant."""
    name, bounds = name_of(line), bounds_of(line)
    if bounds is None:
        return name in asked
    said = asked.get(name, [])
    return any(_is_within(bounds, each) if each and bounds else each == bounds for each in said)


def _go_together(one: str, other: str) -> bool:
    return any(satisfies(version, one) and satisfies(version, other) for version in _telling(one, other))


def _is_within(one: str, other: str) -> bool:
    return all(satisfies(version, other) for version in _telling(one, other) if satisfies(version, one))


def _telling(one: str, other: str) -> List[str]:
    """Versions that tell bounds apart: those that they name, one just above each, and one below all."""
    named = [re.sub(r"\.\*$", "", version) for version in _BOUND.findall("%s,%s" % (one, other))]
    return ["0", *named, *(version + ".0.1" for version in named)]
