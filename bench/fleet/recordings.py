"""The journals of real runs, and runs of a given number of events that are made of them."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.protocol.events import decode
from app.runner.daemon.run_log import line_of
from bench.eta.replay import JOURNALS

Fields = dict[str, Any]
_REPEATABLE = ("node_progress", "packages")
"""Kinds that a run says the more often, the longer it takes: to leave some out, or to say one again, ends in nothing
else."""


@dataclass(frozen=True, slots=True)
class Said:
    """One event, and the line of run.log that the runner writes for it."""

    fields: Fields
    note: str | None

    @property
    def kind(self) -> str:
        """Its word."""
        return str(self.fields["event"])


@dataclass(frozen=True, slots=True)
class Recording:
    """The events of one real run. `moments`: seconds since its first; `least`: the fewest events that it can have."""

    name: str
    events: tuple[Said, ...]
    moments: tuple[float, ...]
    least: int


@cache
def recordings() -> tuple[Recording, ...]:
    """All that there are, by name."""
    return tuple(_read(path.name.removesuffix(".ndjson.gz")) for path in sorted(JOURNALS.glob("*.ndjson.gz")))


@cache
def recording(name: str) -> Recording:
    """One of them. Raises KeyError."""
    return {each.name: each for each in recordings()}[name]


def _read(name: str) -> Recording:
    lines = gzip.decompress((JOURNALS / f"{name}.ndjson.gz").read_bytes()).splitlines()
    events = tuple(Said(json.loads(line), line_of(decode(line).body)) for line in lines)
    moments = tuple(event.fields["mono"] - events[0].fields["mono"] for event in events)
    return Recording(name, events, moments, len(events) - len(_left_out(events)))


def playable(count: int) -> tuple[Recording, ...]:
    """The recordings that can be runs of so many events; the shortest one, where none can."""
    short = min(recordings(), key=lambda each: each.least)
    return tuple(each for each in recordings() if each.least <= count) or (short,)


def fitted(events: Sequence[Said], count: int, dice: random.Random) -> list[Said]:
    """The same run with `count` events, or as few as it can have: progress is left out, or said again."""
    spare = _left_out(events)
    if len(events) > count:
        gone = set(dice.sample(spare, min(len(spare), len(events) - count)))
        return [event for place, event in enumerate(events) if place not in gone]
    again = [place for place, event in enumerate(events) if event.kind in _REPEATABLE]
    if not again:  # a run that fetches nothing: it says once more what the machine is
        again = [place for place, event in enumerate(events) if event.kind == "probed"]
    times = Counter(dice.choices(again, k=count - len(events)))
    return [said for place, event in enumerate(events) for said in [event] * (1 + times[place])]


def _left_out(events: Sequence[Said]) -> list[int]:
    """Where a shorter run need say nothing: progress, but for the last word of each pack and of the packages."""
    last = {(event.kind, event.fields.get("name")): place for place, event in enumerate(events)}
    kept = set(last.values())
    return [place for place, event in enumerate(events) if event.kind in _REPEATABLE and place not in kept]
