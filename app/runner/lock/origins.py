"""Where installed packages came from, as a lock names it: an index, an address, or what only this machine has.

A `file:` address whose file is gone says nothing: conda's packages name the folder that they were built in, and images
remove the wheels that they installed. Such a package counts as one of an index, with its version.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import unquote, urlsplit

from app.protocol.lockfile import OnlyThere, can_be_there
from app.protocol.package_sources import source_of
from app.runner.environment.environment import Distribution, is_editable


class Origin(NamedTuple):
    """Where a package came from. `address`: None for an index; `only_here`: why no other machine can fetch it;
    `path`: what it came from on this machine; `had_secret`: its address has a login, which no lock names."""

    address: Optional[str] = None
    only_here: str = ""
    path: str = ""
    had_secret: bool = False


def origin_of(direct_url: Optional[Mapping[str, Any]]) -> Origin:
    """By what its installer noted (PEP 610)."""
    if not direct_url or not direct_url.get("url"):
        return Origin()
    path = path_of(str(direct_url["url"]))
    if path is not None:
        if not os.path.exists(path):
            return Origin()
        what = "is the folder %s as it lies there (an editable install)" if is_editable(direct_url) else "came from %s"
        return Origin(None, "it %s, on the machine that the lock was made on" % (what % path), path)
    source = source_of(direct_url)
    if source is None:
        return Origin(None, "it came from an address that cannot be fetched again without a login or another tool")
    return Origin(source.address, had_secret=source.had_secret)


def path_of(url: str) -> Optional[str]:
    """The path of a `file:` address; None for another."""
    parts = urlsplit(url)
    return os.path.normpath(unquote(parts.path)) if parts.scheme in ("file", "git+file") else None


def described(distributions: Mapping[str, Distribution]) -> Dict[str, Any]:
    """The packages as a lock has them: its fields `packages`, `sources` and `only_there`."""
    packages: Dict[str, str] = {}
    sources: Dict[str, str] = {}
    only_there: List[OnlyThere] = []
    for found in sorted(distributions.values(), key=lambda each: each.name):
        origin = origin_of(found.direct_url)
        named = can_be_there(found.name, found.version)
        if named:
            packages[found.name] = found.version
        if origin.only_here or not named:
            why = origin.only_here or "no requirement can name it"
            only_there.append(OnlyThere(found.name, found.version, why, origin.path, found.editable))
        elif origin.address is not None:
            sources[found.name] = origin.address
    return {"packages": packages, "sources": sources, "only_there": [asdict(each) for each in only_there]}


def with_logins(distributions: Mapping[str, Distribution]) -> List[str]:
    """The packages whose address has a login or a token."""
    return sorted(found.name for found in distributions.values() if origin_of(found.direct_url).had_secret)
