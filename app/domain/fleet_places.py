"""How many installs of a fleet run at once, and who has to wait for that. Plain values: each engine has a queue of its
own and counts by this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.domain.request import FleetLimits


@dataclass(frozen=True, slots=True)
class Group:
    """The fleet of a task, and how many of it may run at once: in all, and on one host (None: any number)."""

    name: str
    at_once: int | None = None
    per_host: int | None = None

    @classmethod
    def of(cls, fleet_id: str | None, limits: FleetLimits | None) -> Group | None:
        """Of an install; None where its fleet has no limits, or where it is of none."""
        return None if fleet_id is None or limits is None else cls(fleet_id, limits.at_once, limits.per_host)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Group:
        """As `to_json` has written it."""
        return cls(stored["name"], stored["at_once"], stored["per_host"])

    def to_json(self) -> dict[str, Any]:
        """As a queue keeps it."""
        return {"name": self.name, "at_once": self.at_once, "per_host": self.per_host}


class Limit(Enum):
    """Which limit of its group a task waits for."""

    AT_ONCE = "at_once"
    PER_HOST = "per_host"


def host_of(instance: str) -> str:
    """`host:port` without its port: several may be behind one address."""
    return instance.rpartition(":")[0] or instance


class PlaceCount:
    """How many of each group have a place, in all and on each host."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, str]] = Counter()

    def add(self, instance: str, group: Group) -> None:
        """One more has a place. `instance`: `host:port`."""
        self._used.update([(group.name, ""), (group.name, host_of(instance))])

    def limit(self, instance: str, group: Group) -> Limit | None:
        """The limit that one more would break."""
        if group.at_once is not None and self._used[group.name, ""] >= group.at_once:
            return Limit.AT_ONCE
        if group.per_host is not None and self._used[group.name, host_of(instance)] >= group.per_host:
            return Limit.PER_HOST
        return None
