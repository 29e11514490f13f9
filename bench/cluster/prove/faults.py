"""What happens to a cluster, and when: dealt once from seed and run, so that it can be played again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

FIRST_SECONDS, LAST_SECONDS, LAST_LONG_SECONDS = 3.0, 80.0, 45.0
"""After the start of the installs; what lasts begins early enough to be over while they run."""
DATABASE_SECONDS = 10.0


class Kind(StrEnum):
    """What happens."""

    WORKER = "worker: kill -9"
    WEB = "web process: kill -9"
    DATABASE = "PostgreSQL: kill -9"
    FROZEN = "worker: stopped, goes on"
    AWAY = "host: cut off, comes back"
    NO_DATABASE = "host: cut off from PostgreSQL only"


LONG = {Kind.FROZEN: (32.0, 48.0), Kind.AWAY: (42.0, 55.0), Kind.NO_DATABASE: (42.0, 55.0)}
"""Seconds: all longer than the 30 s after which a worker that was not heard is dead."""
HOST = frozenset({Kind.AWAY, Kind.NO_DATABASE})
_OUTAGES = (
    *(Kind.DATABASE, Kind.WORKER, Kind.AWAY, Kind.WEB),
    *(Kind.DATABASE, Kind.WORKER, Kind.DATABASE, Kind.WORKER, Kind.WEB, Kind.DATABASE),
)
_TAKEOVERS = (
    *(Kind.AWAY, Kind.WORKER, Kind.FROZEN, Kind.WEB),
    *(Kind.WORKER, Kind.FROZEN, Kind.WORKER, Kind.FROZEN, Kind.WORKER, Kind.WEB),
)
"""Of each ten. PostgreSQL's outages have runs of their own: for half a minute after one, nobody is taken for dead."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`, `seconds`: when it begins, and how long it lasts; `member`: which of those that it can happen to."""

    at: float
    kind: Kind
    seconds: float
    member: int


def dealt(seed: int, run: int, count: int, *, host: bool) -> list[Fault]:
    """The faults of a run, by their moments. `host`: whether one worker is on a host that can be cut off."""
    dice = random.Random(f"faults {seed}:{run}")
    found = []
    for kind in _kinds(run, count):
        happens = kind if host or kind not in HOST else Kind.FROZEN
        long = LONG.get(happens)
        at = dice.uniform(FIRST_SECONDS, LAST_LONG_SECONDS if long else LAST_SECONDS)
        seconds = dice.uniform(*long) if long else DATABASE_SECONDS if happens is Kind.DATABASE else 0.0
        found.append(Fault(round(at, 1), happens, round(seconds, 1), dice.randrange(6)))
    return sorted(found, key=lambda each: each.at)


def _kinds(run: int, count: int) -> list[Kind]:
    """Runs are of four sorts, in turn."""
    ten = _TAKEOVERS if run % 2 else _OUTAGES
    kinds = [ten[place % len(ten)] for place in range(count)]
    return [Kind.NO_DATABASE if kind is Kind.AWAY and run % 4 in (0, 3) else kind for kind in kinds]
