"""The lock's packages beside those that are installed: other versions, and the same versions from elsewhere."""

from __future__ import annotations

import os
from typing import Dict, List, Mapping, NamedTuple, Optional

from app.protocol.lockfile import Lock, OnlyThere
from app.protocol.package_sources import same_source
from app.runner.environment.environment import Distribution
from app.runner.environment.torch_family import is_protected
from app.runner.lock.origins import Origin, origin_of
from app.runner.requirements.lines import canonical

NOT_OURS = frozenset({"pip", "uv"})
"""Tools of the environment, in versions of its own."""
Distributions = Mapping[str, Distribution]


class Difference(NamedTuple):
    """A package that is not as in the lock. `installed`: None for one that is not there. `source`: the address that the
    lock has, None for an index; `only_there`: the lock's machine alone has it; `moved`: the version is the lock's, and
    came from elsewhere (`here`)."""

    name: str
    installed: Optional[str]
    wanted: str
    source: Optional[str] = None
    only_there: Optional[OnlyThere] = None
    here: str = ""

    @property
    def pin(self) -> str:
        """The line that asks for exactly this."""
        if self.only_there is not None:
            path = self.only_there.path
            return "-e %s" % path if self.only_there.editable else "%s @ file://%s" % (self.name, path)
        return "%s @ %s" % (self.name, self.source) if self.source else "%s==%s" % (self.name, self.wanted)

    @property
    def moved(self) -> bool:
        """Whether only its origin differs: then an installer takes it for installed."""
        return self.installed is not None and self.wanted in ("", self.installed)

    @property
    def can_be_tried(self) -> bool:
        """Whether it can be had here at all: what only the lock's machine has, where its file or folder lies."""
        path = self.only_there.path if self.only_there else ""
        return self.only_there is None or bool(path and os.path.exists(path))

    def __str__(self) -> str:
        source = self.only_there.path if self.only_there else self.source
        wanted = " ".join(filter(None, [self.wanted, "(%s)" % source if source else ""]))
        if self.moved:
            return "%s is %s from %s, the lock has it from %s" % (
                self.name,
                self.installed,
                self.here,
                source or "the package index",
            )
        return "%s is %s, the lock has %s" % (self.name, self.installed or "not installed", wanted)


def differences(lock: Lock, distributions: Distributions) -> List[Difference]:
    """The lock's packages that are not installed in their versions, or from elsewhere. A lock that names no sources (an
    older one, one that a person wrote) only wants versions."""
    only_there = {canonical(each.name): each for each in lock.only_there}
    sources = {canonical(name): address for name, address in (lock.sources or {}).items()}
    named: Dict[str, str] = dict(lock.packages)
    known = {canonical(name) for name in named}
    named.update((name, "") for name in lock.sources or {} if canonical(name) not in known)
    named.update((each.name, each.version) for each in lock.only_there if canonical(each.name) not in known)
    found = []
    for name, version in sorted(named.items()):
        key = canonical(name)
        here, source, alone = distributions.get(key), sources.get(key), only_there.get(key)
        if key in NOT_OURS:
            continue
        origin = origin_of(here.direct_url) if here else Origin()
        same = here is not None and version in ("", here.version)
        if same and (lock.sources is None or is_protected(key) or _same_origin(origin, source, alone)):
            continue
        where = origin.path or origin.address or ("another place" if origin.only_here else "the package index")
        found.append(Difference(name, here.version if here else None, version, source, alone, where))
    return found


def _same_origin(origin: Origin, source: Optional[str], alone: Optional[OnlyThere]) -> bool:
    """Whether an installed package came from where the lock has it from."""
    if alone is not None:
        return not alone.path or origin.path == alone.path
    return not origin.only_here and same_source(source, origin.address)
