"""When what happened in one run of Nodeferry, by its journal; clocks of bench and stand-in are the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

from app.protocol.event_body import Body
from app.protocol.events import Event, NodeChanged, PackagesPlanned, PhaseChanged, decode
from app.protocol.states import GOOD_NODE_STATES, StepStatus
from bench.engine.results import Span

B = TypeVar("B", bound=Body)

_SHOWN = {"clone": "clones", "resolve": "resolve", "install": "install", "scripts": "scripts", "verify": "verify"}
_PACKAGES = ("clone", "resolve", "install")
_BEFORE_VERIFY = ("clone", "resolve", "install", "scripts")


class RunTimes:
    """A finished run's journal, in seconds since `began` (Unix time)."""

    def __init__(self, journal: Path, began: float) -> None:
        self._events = [decode(line) for line in journal.read_bytes().splitlines()]
        self._began = began

    @property
    def started(self) -> float:
        """The runner is there."""
        return self._at(self._events[0])

    @property
    def ended(self) -> float:
        """The run's terminal event."""
        return self._at(self._events[-1])

    def installed(self, names: Collection[str]) -> float | None:
        """When the last of these packs was told `installed`; None if one never was."""
        first: dict[str, float] = {}
        for event, told in self._of(NodeChanged):
            if told.name in names and told.state in GOOD_NODE_STATES:
                first.setdefault(told.name, self._at(event))
        return max(first.values()) if len(first) == len(set(names)) else None

    def packs_at(self, names: Collection[str]) -> tuple[float, ...]:
        """When each of these packs was first told installed, in that order."""
        first: dict[str, float] = {}
        for event, told in self._of(NodeChanged):
            if told.name in names and told.state in GOOD_NODE_STATES:
                first.setdefault(told.name, self._at(event))
        return tuple(sorted(first.values()))

    def packages_installed(self) -> float:
        """When the last package was installed, or all were given up."""
        return max(self._at(event) for event, told in self._of(PhaseChanged) if told.phase in _PACKAGES)

    def all_installed(self) -> float:
        """When nothing was left to clone, install or run; a pack that is not good may wait for its import's verdict
        after that."""
        return max(self._at(event) for event, told in self._of(PhaseChanged) if told.phase in _BEFORE_VERIFY)

    def spans(self) -> list[Span]:
        """What was worked on when; `builds` from the first plan of a source build on."""
        found = [("connect", 0.0, self.started)]
        found += [(_SHOWN[name], begin, end) for name, begin, end in self._phases() if name in _SHOWN]
        builds = [
            self._at(event)
            for event, plan in self._of(PackagesPlanned)
            if any(change.stage == "long_build" for change in plan.changes[:1])
        ]
        ends = [end for name, _, end in found if name == "install"]
        return found + ([("builds", builds[0], max(ends))] if builds and ends else [])

    def _phases(self) -> Iterator[Span]:
        began: dict[str, float] = {}
        for event, told in self._of(PhaseChanged):
            name = told.phase.value
            if told.status is StepStatus.RUNNING:
                began.setdefault(name, self._at(event))
            elif name in began:
                yield name, began.pop(name), self._at(event)

    def _of(self, kind: type[B]) -> Iterator[tuple[Event, B]]:
        return ((event, event.body) for event in self._events if isinstance(event.body, kind))

    def _at(self, event: Event) -> float:
        return event.wall - self._began
