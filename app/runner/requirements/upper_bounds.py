"""Upper bounds of packs' own lines, which are often as old as the pack: what a line asks for without them.

An exact pin (`==1.2`) is no upper bound: it is asked for on purpose.
"""

from __future__ import annotations

import re
from typing import List, Mapping, Optional

from app.runner.requirements.lines import bounds_of, name_of
from app.runner.requirements.versions import is_older, satisfies

_UPPER = re.compile(r"^(?:<=?|~=|==)")
_VERSION = re.compile(r"^(?:[<>=!~]=?=?)\s*(.+?)\s*$")


def without_upper_bound(line: str, installed: Mapping[str, str]) -> Optional[str]:
    """The line without the bounds that the installed version is above, where these are all that asks for an older one;
    None for a line that asks for something else, or for none. `installed`: versions by canonical name."""
    name, bounds = name_of(line), bounds_of(line)
    version = installed.get(name) if name else None
    if version is None or not bounds or line.startswith("-") or satisfies(version, bounds) is not False:
        return None
    rest = _relaxed(bounds, version)
    if rest is None or satisfies(version, rest) is not True:
        return None
    return _with_bounds(line, name, rest)


def without_bounds(line: str) -> str:
    """The line without anything that keeps newer versions out: upper bounds and exact pins. Others stay as they are."""
    name, bounds = name_of(line), bounds_of(line)
    if not name or not bounds or line.startswith("-"):
        return line
    kept = [clause for clause in bounds.split(",") if not _UPPER.match(clause.strip())]
    return _with_bounds(line, name, ",".join(kept))


def _relaxed(bounds: str, version: str) -> Optional[str]:
    """The bounds without the upper ones that the version is above; None where it is not above one that it misses."""
    kept: List[str] = []
    for clause in (part.strip() for part in bounds.split(",")):
        if not clause or satisfies(version, clause) is True:
            kept += [clause] if clause else []
            continue
        found = _VERSION.match(clause)
        is_upper = clause.startswith(("<", "~=")) or (clause.startswith("==") and clause.endswith(".*"))
        if found is None or not is_upper or is_older(version, than=found.group(1).removesuffix(".*")):
            return None
        if clause.startswith(("~=", "==")):
            kept.append(">=%s" % found.group(1).removesuffix(".*"))
    return ",".join(kept)


def _with_bounds(line: str, name: str, bounds: str) -> str:
    """The line's package and extras with these bounds."""
    extras = re.search(r"\[[^\]]*\]", line)
    return "%s%s%s" % (name, extras.group(0) if extras else "", bounds)
