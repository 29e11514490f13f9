"""The names of wheels (PEP 427). What lies in a folder of wheels becomes a path on another machine, so that a name that
is none is never used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Optional, Tuple

MAX_CHARS = 200
MAX_BYTES = 2 << 30
"""No wheel is larger that is kept, listed or fetched."""
MAX_WHEELS = 1000
"""No list of them is longer."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WHEEL = re.compile(
    r"^(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]{0,98}[A-Za-z0-9])?)-(?P<version>[0-9][A-Za-z0-9._+!]{0,79})"
    r"(?:-[0-9][A-Za-z0-9_.]{0,30})?-[A-Za-z0-9_.]{1,40}-[A-Za-z0-9_.]{1,40}-(?P<platform>[A-Za-z0-9_.]{1,90})\.whl$"
)


def is_wheel_name(name: object) -> bool:
    """Whether this is a wheel's file name, and no path."""
    return isinstance(name, str) and len(name) <= MAX_CHARS and bool(_WHEEL.match(name)) and "\n" not in name


class WheelEntry(NamedTuple):
    """A wheel of an instance's list: its size in bytes, its digest in hex; `own`: built in the task's run."""

    name: str
    bytes: int
    sha256: str
    own: bool


def entry_of(raw: object) -> Optional[WheelEntry]:
    """A wheel as an instance's list names it; None for what is none: nothing of it is believed."""
    entry = raw if isinstance(raw, Mapping) else {}
    name, size, digest = entry.get("name"), entry.get("bytes"), entry.get("sha256")
    if not isinstance(name, str) or not is_wheel_name(name) or type(size) is not int or not 0 < size <= MAX_BYTES:
        return None
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        return None
    return WheelEntry(name, size, digest, entry.get("own") is True)


def package_of(name: str) -> Optional[Tuple[str, str]]:
    """The package in its one form (PEP 503), and its version; None where `name` is not a wheel's."""
    found = _WHEEL.match(name) if is_wheel_name(name) else None
    return (re.sub(r"[-_.]+", "-", found["name"]).lower(), found["version"]) if found else None


def is_any_platform(name: str) -> bool:
    """Whether the wheel says that it runs on every machine."""
    found = _WHEEL.match(name) if is_wheel_name(name) else None
    return found is not None and found["platform"] == "any"
