"""Versions of ComfyUI and of its pages, as far as they can be compared."""

from __future__ import annotations

import re
from typing import Iterable, Optional, Tuple

_VERSION = re.compile(r"v?(\d{1,6}(?:\.\d{1,6}){1,3})(?![\d.])")


def version_key(version: Optional[str]) -> Tuple[int, ...]:
    """What versions are compared by: four numbers. `()`, which is older than any, for what is no version. What follows
    the numbers, as in `0.3.64-12-gabc`, does not count."""
    match = _VERSION.match(version.strip()) if version else None
    return (*(int(part) for part in match.group(1).split(".")), 0, 0)[:4] if match else ()


def is_older(version: Optional[str], than: Optional[str]) -> bool:
    """Whether both are versions, and the first is the older one."""
    one, other = version_key(version), version_key(than)
    return bool(one) and bool(other) and one < other


def newest_of(versions: Iterable[Optional[str]]) -> Optional[str]:
    """The newest of them; None where none is a version."""
    return max((each for each in versions if version_key(each)), key=version_key, default=None)
