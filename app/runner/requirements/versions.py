"""Versions and their bounds (PEP 440), read by the `packaging` library.

What the library cannot read (a version of Debian's like `1.1build1`, a bound of an older pip) is unknown, never an
error. The library is imported when it is first needed: compiling it from the zipapp takes a moment.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from packaging.specifiers import Specifier
    from packaging.version import Version

_RELEASE = re.compile(r"\s*v?((?:\d{1,9}!)?\d{1,18}(?:\.\d{1,18})*)(.{1,100})$", re.ASCII)


def is_version(text: str) -> bool:
    """Whether this is a version that PEP 440 knows; resolvers refuse lines with another one."""
    return _version(text) is not None


def is_older(version: str, than: str) -> bool:
    """Whether `version` comes before `than`; False where either cannot be read."""
    one, other = _version(version), _version(than)
    return one is not None and other is not None and one < other


def is_newer(version: str, than: str) -> bool:
    """Whether `version` comes after `than`; what can be read comes after what cannot."""
    one, other = _version(version), _version(than)
    return one is not None and (other is None or one > other)


def readable(version: str) -> Optional[str]:
    """The version as a resolver takes it: itself, or for a system's or a builder's own (`1.1build1`, `2.0-custom`) what
    comes before that, as a local version (`1.1+build1`). None where it does not begin with a release."""
    if _version(version) is not None:
        return version
    found = _RELEASE.match(version)
    rest = re.sub(r"[^a-z0-9]+", ".", found.group(2).lower()).strip(".") if found else ""
    return "%s+%s" % (found.group(1), rest) if found and rest else None


def satisfies(version: str, bounds: str) -> Optional[bool]:
    """Whether a version is within the bounds (`>=1.2,<2`; without any it always is); None where that cannot be said.
    A pre-release counts: it is installed."""
    verdicts = [_within(version, clause.strip()) for clause in bounds.split(",") if clause.strip()]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _within(version: str, clause: str) -> Optional[bool]:
    specifier, parsed = _specifier(clause), _version(version)
    if specifier is None or (parsed is None and specifier.operator != "==="):
        return None
    return specifier.contains(parsed or version, prereleases=True)


@lru_cache(maxsize=4096)
def _version(text: str) -> Optional[Version]:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


@lru_cache(maxsize=4096)
def _specifier(clause: str) -> Optional[Specifier]:
    from packaging.specifiers import InvalidSpecifier, Specifier

    try:
        return Specifier(clause)
    except InvalidSpecifier:
        return None
