"""When what happened in one run of Nodeferry, by its journal; clocks of bench and stand-in are the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from app.protocol.events import Event, Kind, decode

_GOOD = ("installed", "verified")


class RunTimes:
    """A finished run's journal, in seconds since `began` (Unix time)."""

    def __init__(self, journal: Path, began: float) -> None:
        self._events = [decode(line) for line in journal.read_bytes().splitlines()]
        self._began = began

    @property
    def ended(self) -> float:
        """The run's terminal event."""
        return self._at(self._events[-1])

    def installed(self, names: Collection[str]) -> float | None:
        """When the last of these packs was told `installed`; None if one never was."""
        first: dict[str, float] = {}
        for event in self._of(Kind.NODE):
            if event["name"] in names and event["state"] in _GOOD:
                first.setdefault(event["name"], self._at(event))
        return max(first.values()) if len(first) == len(set(names)) else None

    def settled(self) -> float:
        """When the last pack came to its end before the check of imports."""
        first: dict[str, float] = {}
        for event in self._of(Kind.NODE):
            if event["state"] in (*_GOOD, "failed", "skipped"):
                first.setdefault(event["name"], self._at(event))
        return max(first.values())

    def phases(self) -> list[tuple[str, float, float]]:
        """Each phase that ran: name, begin, end."""
        began: dict[str, float] = {}
        found = []
        for event in self._of(Kind.PHASE):
            if event["status"] == "running":
                began.setdefault(event["phase"], self._at(event))
            elif event["phase"] in began:
                found.append((event["phase"], began.pop(event["phase"]), self._at(event)))
        return found

    def _of(self, kind: Kind) -> Iterator[Event]:
        return (event for event in self._events if event.kind == kind)

    def _at(self, event: Event) -> float:
        return event.wall - self._began
