"""The events and logs of a run as they follow one another: what a scenario is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.protocol.event_body import Body
from app.protocol.manifest import NodePack


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens `at` seconds after the run's begin: an event, or new text of a log."""

    at: float
    body: Body | None = None
    log: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run from its first event to its last. `marks`: moments by name, in seconds; `kind`: install, rollback or
    restart; `options`: the request's."""

    packs: tuple[NodePack, ...]
    moments: tuple[Moment, ...]
    marks: Mapping[str, float]
    kind: str = "install"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.moments[-1].at

    @property
    def bodies(self) -> list[Body]:
        """Its events alone."""
        return [moment.body for moment in self.moments if moment.body is not None]

    def manifest(self) -> dict[str, Any]:
        """Its packs as a request names them."""
        keys = ("name", "repo_url", "subfolder", "requirements_file")
        return {"nodes": [{key: getattr(pack, key) for key in keys} for pack in self.packs]}

    def until(self, mark: str | float) -> float:
        """The second of a mark, or `mark` itself."""
        return self.marks[mark] if isinstance(mark, str) else mark


class Story:
    """Collects moments in any order. `now` is where `say` puts the next one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.marks: dict[str, float] = {}
        self._moments: list[Moment] = []

    def say(self, *bodies: Body, after: float = 0.0) -> None:
        """Events, `after` seconds from now."""
        self.now += after
        for body in bodies:
            self.at(self.now, body)

    def at(self, second: float, body: Body) -> None:
        """An event at any second."""
        self._moments.append(Moment(round(second, 3), body))

    def log(self, second: float, name: str, text: str) -> None:
        """New text of a log."""
        self._moments.append(Moment(round(second, 3), None, name, text))

    def mark(self, name: str, second: float | None = None) -> None:
        """A name for this moment."""
        self.marks[name] = round(self.now if second is None else second, 3)

    def ended(self) -> tuple[Moment, ...]:
        """All moments in their order; those of one second in the order in which they were told."""
        self.mark("end")
        return tuple(sorted(self._moments, key=lambda moment: moment.at))
