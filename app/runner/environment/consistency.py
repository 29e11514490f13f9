"""What does not fit together in an environment."""

from __future__ import annotations

from typing import FrozenSet, NamedTuple

from app.runner.environment.environment import Environment
from app.runner.environment.same_library import provider
from app.runner.requirements.lines import asked_by
from app.runner.requirements.markers import holds
from app.runner.requirements.versions import satisfies


class Complaint(NamedTuple):
    """An installed package that does not get what it needs. `by` and `wanted`: canonical names; `line`: its
    requirement; `text`: all of it in a sentence."""

    by: str
    wanted: str
    line: str
    text: str


def misfits(environment: Environment) -> FrozenSet[Complaint]:
    """What does not fit together (as `uv pip check` finds it, but also where packages are the system's). An environment
    may have such packages of long before: only what is new is anybody's fault."""
    found = set()
    for name, installed in environment.distributions.items():
        for line in installed.requires:
            wrong = why_unmet(line, environment)
            if wrong:
                wanted = line.partition(";")[0].strip()
                text = "%s %s needs %s, and %s" % (installed.name, installed.version, wanted, wrong)
                found.add(Complaint(name, asked_by(wanted).name, wanted, text))
    return frozenset(found)


def complaints(environment: Environment) -> FrozenSet[str]:
    """The same, a sentence each."""
    return frozenset(found.text for found in misfits(environment))


def why_unmet(line: str, environment: Environment) -> str:
    """Why a requirement is not met; empty when it is, when it does not count here, or when that cannot be said. Another
    package that brings the same library does as well."""
    wanted, _, marker = (part.strip() for part in line.partition(";"))
    if "extra" in marker:
        return ""  # whether it was asked for with its extras is not on record
    name, bounds = asked_by(wanted)
    found = provider(name, environment.packages)
    if not name or (found is not None and (not bounds or satisfies(environment.packages[found], bounds) is not False)):
        return ""
    if marker and not holds(marker, environment.markers):
        return ""
    if found is None:
        return "it is not installed"
    version = environment.packages[found]
    return "%s is installed" % version if found == name else "%s %s is installed" % (found, version)
