"""What is installed, as a run's record keeps it: versions, and where packages came from that are not from an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from app.protocol.package_sources import without_login
from app.runner.environment.environment import Environment, is_editable, source_of
from app.runner.requirements.lines import canonical


@dataclass(frozen=True)
class Installed:
    """One installed package. `source`: the address that it came from, None for an index; `editable`: it is a folder
    of that address, as it lies there."""

    package: str
    version: str
    source: Optional[str] = None
    editable: bool = False

    @property
    def pinned(self) -> str:
        """The line that asks for exactly this."""
        if self.editable:
            return "-e %s" % self.source
        return "%s @ %s" % (self.package, self.source) if self.source else "%s==%s" % (self.package, self.version)

    def __str__(self) -> str:
        return "%s %s%s" % (self.package, self.version, " (%s)" % without_login(self.source) if self.source else "")


Freeze = Dict[str, Installed]
"""What is installed, by canonical names."""


def to_record(environment: Environment) -> Dict[str, Any]:
    """The packages as the record's JSON: [version, PEP 610's origin] by name."""
    return {found.name: [found.version, found.direct_url] for found in environment.distributions.values()}


def freeze_of(recorded: Mapping[str, Any]) -> Freeze:
    """The packages of a record's JSON."""
    return {
        canonical(name): Installed(name, str(version), source_of(origin), is_editable(origin))
        for name, (version, origin) in recorded.items()
    }
