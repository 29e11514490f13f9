"""What happens on each instance of a played fleet: dealt once from seed and number, so that it can be played again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from bench.fleet.recordings import Said, fitted, playable, recording


class Fate(StrEnum):
    """How an instance's run goes."""

    ENDS = "ends"
    DIES = "dies"
    """Its runner is gone without a word."""
    SILENT = "silent"
    """The host accepts connections and never says anything."""


@dataclass(frozen=True, slots=True)
class Play:
    """How a fleet is played. `rate`: events a second on average, each at a random moment; 0: at the times of the
    recording, `speed` times as fast. `events`: how many each run has; 0: as many as its recording. The others are
    shares of the instances: those whose line is cut, whose runner dies, that are silent, that have no runner yet."""

    seed: int = 1
    instances: int = 10
    rate: float = 1.0
    speed: float = 1.0
    events: int = 0
    drops: float = 0.0
    deaths: float = 0.0
    silent: float = 0.0
    fresh: float = 1.0


@dataclass(frozen=True, slots=True)
class Drop:
    """The line is cut behind event `at`, and nobody gets in for so many seconds."""

    at: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Script:
    """One instance. `delays`: seconds before each event, after the one before it; `dies_at`: the events that a dying
    run writes."""

    number: int
    recording: str
    fate: Fate
    fresh: bool
    events: tuple[Said, ...]
    delays: tuple[float, ...]
    drops: tuple[Drop, ...]
    dies_at: int | None


_MOST_DROPS, _MOST_AWAY_SECONDS = 3, 4.0


def script_of(play: Play, number: int) -> Script:
    """The script of an instance."""
    fate, dropped = dealt(play)[number]
    dice = random.Random(f"{play.seed}:{number}")
    choice = playable(play.events) if play.events else playable(10**9)
    chosen = choice[(number + play.seed) % len(choice)]
    events = fitted(chosen.events, play.events, dice) if play.events else list(chosen.events)
    if play.rate:
        delays = [dice.uniform(0.0, 1.0 / play.rate), *(dice.expovariate(play.rate) for _ in events[1:])]
    else:
        moments = recording(chosen.name).moments if not play.events else _spread(chosen.moments, len(events))
        delays = [(at - before) / play.speed for before, at in zip((0.0, *moments), moments, strict=False)]
    drops = [
        Drop(dice.randrange(2, max(3, len(events) - 2)), dice.uniform(0.0, _MOST_AWAY_SECONDS))
        for _ in range(dice.randint(1, _MOST_DROPS) if dropped else 0)
    ]
    dies_at = dice.randrange(len(events) // 5, len(events) * 4 // 5) if fate is Fate.DIES else None
    fresh = dice.random() < play.fresh
    return Script(number, chosen.name, fate, fresh, tuple(events), tuple(delays), tuple(drops), dies_at)


def dealt(play: Play) -> list[tuple[Fate, bool]]:
    """Each instance's fate, and whether its line is cut: exactly the shares that were asked for, at least one of each
    that was."""
    numbers = list(range(play.instances))
    random.Random(f"fates {play.seed}").shuffle(numbers)
    fates = [Fate.ENDS] * play.instances
    for fate, share in ((Fate.DIES, play.deaths), (Fate.SILENT, play.silent)):
        for _ in range(_part(play, share)):
            if numbers:
                fates[numbers.pop()] = fate
    dropped = set(numbers[: _part(play, play.drops)])
    return [(fate, number in dropped) for number, fate in enumerate(fates)]


def _part(play: Play, share: float) -> int:
    return max(1, round(share * play.instances)) if share > 0 else 0


def _spread(moments: tuple[float, ...], count: int) -> list[float]:
    """The same course over another number of events."""
    last = len(moments) - 1
    return [moments[round(place * last / max(1, count - 1))] for place in range(count)]
