"""What does not fit together in an environment."""

from __future__ import annotations

from typing import FrozenSet

from app.runner.environment.environment import Environment
from app.runner.requirements.lines import asked_by
from app.runner.requirements.markers import holds
from app.runner.requirements.versions import satisfies


def complaints(environment: Environment) -> FrozenSet[str]:
    """What does not fit together, a sentence each (as `uv pip check` finds it, but also where packages are the
    system's). An environment may have complaints of long before: only what is new is anybody's fault."""
    said = set()
    for found in environment.distributions.values():
        for line in found.requires:
            wanted, _, marker = (part.strip() for part in line.partition(";"))
            if "extra" in marker:
                continue  # whether it was asked for with its extras is not on record
            wrong = _wrong(wanted, environment)
            if wrong and (not marker or holds(marker, environment.markers)):
                said.add("%s %s needs %s, and %s" % (found.name, found.version, wanted, wrong))
    return frozenset(said)


def _wrong(wanted: str, environment: Environment) -> str:
    """Why a requirement is not met; empty when it is, or when that cannot be said."""
    name, bounds = asked_by(wanted)
    if not name:
        return ""
    installed = environment.packages.get(name)
    if installed is None:
        return "it is not installed"
    return "%s is installed" % installed if bounds and satisfies(installed, bounds) is False else ""
