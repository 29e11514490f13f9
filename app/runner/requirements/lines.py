"""What one requirement line asks for: a package by its name, within bounds, or by an address (PEP 508).

The `packaging` library reads the lines. pip and uv take more than it does (`-e`, bare addresses and paths, bounds of
older versions of pip): those are read as far as they can be, and are never an error.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import AbstractSet, NamedTuple, Optional, Tuple

_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?=$|[\[<>=!~;@\s(])")
_WHOLE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_ODD_BOUNDS = re.compile(r"^(?:\[[^\]]*\])?\s*\(?((?:[<>=!~][^;@()]*)?)\)?$")
_VALUE = r"(?:[a-z_]+|'[^'\"]*'|\"[^'\"]*\")"
_CLAUSE = _VALUE + r" ?(?:[<>=!]=|[<>]|in|not in) ?" + _VALUE
_BOUND = r"(?:[<>!=]=|[<>]) ?\d+(?:\.\d+)*"
_PLAIN = re.compile(
    r"[A-Za-z0-9._-]*[A-Za-z0-9](?:\[[a-z0-9,-]+\])? ?\(?(?:%s(?:, ?%s)*)?\)?(?: ?; ?%s(?: and %s)*)?"
    % (_BOUND, _BOUND, _CLAUSE, _CLAUSE)
)
"""What nearly all lines of installed packages are like: read without the library, which would take longer."""
_LONGEST = 5000
"""Characters of a line; what packs have is far shorter, and a parser must not work on a megabyte."""


class Asked(NamedTuple):
    """The package in its one form, empty where the line names none; and its bounds (`>=1,<2`, empty for none), None
    where an address or a marker makes them unknown."""

    name: str
    bounds: Optional[str]


def canonical(name: str) -> str:
    """A package's name in its one form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(line: str) -> str:
    """The package that a line asks for, by name or by an address, in its one form; empty for an option."""
    return asked_by(line).name


def bounds_of(line: str) -> Optional[str]:
    """The bounds of a plain line; None where an address or a marker makes them unknown."""
    return asked_by(line).bounds


def as_constraint(line: str) -> Optional[str]:
    """The line as a resolver takes it for a constraint, without extras; None for an address, an option or what PEP 508
    does not know."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(line)
    except (InvalidRequirement, RecursionError):
        return None
    found.extras = set()
    return str(found) if found.url is None else None


@lru_cache(maxsize=16384)
def _as_named(line: str) -> Tuple[str, str]:
    """The package that a line asks for by its address, and else the line with what every resolver reads of it."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if _PLAIN.fullmatch(line):
        return "", line
    try:
        found = Requirement(line)
        return (canonical(found.name), "") if found.url else ("", str(found))
    except (InvalidRequirement, RecursionError):
        name, bounds = asked_by(line)
    clauses = []
    for clause in (bounds or "").split(","):
        with suppress(InvalidSpecifier):
            clauses.append(str(SpecifierSet(re.sub(r"(?<=\d)\.\*$", "", clause.strip()))))
    return "", name + ",".join(filter(None, clauses)) if name and bounds is not None else ""


def as_installed(line: str, installed: AbstractSet[str]) -> str:
    """What an installed package requires, as a line that every resolver takes; empty for what none takes. An address
    counts as met by a package of its name (`installed`: canonical names), and for nothing where there is none: uv
    refuses addresses that no pack names itself."""
    by_address, named = _as_named(line)
    return by_address if by_address in installed else named


def begins_with_name(line: str) -> bool:
    """Whether a package's name comes first, whatever follows it."""
    return _NAME.match(line) is not None


@lru_cache(maxsize=8192)
def asked_by(line: str) -> Asked:
    """What a line asks for."""
    from packaging.requirements import InvalidRequirement, Requirement

    if line.startswith("--"):
        return Asked("", None)
    if len(line) > _LONGEST:
        return _oddly_asked(line)
    try:
        found = Requirement(line)
    except (InvalidRequirement, RecursionError):
        return _oddly_asked(line)
    is_conditional = found.url is not None or found.marker is not None
    return Asked(canonical(found.name), None if is_conditional else str(found.specifier))


def _oddly_asked(line: str) -> Asked:
    """`…#egg=NAME`, a wheel's or an archive's name, or the repository's; or a name whose bounds only older versions of
    pip know."""
    name = _NAME.match(line)
    if name:
        bounds = _ODD_BOUNDS.match(line[name.end() :].strip())
        return Asked(canonical(name.group(1)), bounds.group(1).strip() if bounds else None)
    egg = re.search(r"#(?:[^#]*&)?egg=([A-Za-z0-9._-]+)", line)
    last = re.split(r"[#?\s]", re.sub(r"^-e\s+", "", line))[0].rstrip("/").rpartition("/")[2]
    if egg:
        found = egg.group(1)
    elif last.endswith((".whl", ".zip", ".tar.gz")):
        found = last.split("-")[0]
    else:
        found = last.split("@")[0].removesuffix(".git")
    return Asked(canonical(found) if _WHOLE_NAME.fullmatch(found) else "", None)
