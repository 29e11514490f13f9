"""Plays a recorded journal back, and compares the predicted remaining time with the true one."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.protocol.events import decode
from app.protocol.progress_json import initial, progress
from app.protocol.reducer import reduce
from app.protocol.snapshot import Snapshot

JOURNALS = Path(__file__).parents[2] / "test" / "protocol" / "journals"
AT = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Guess:
    """What progress said at one moment, and what was so, in seconds."""

    predicted: float | None
    true: float

    @property
    def error(self) -> float:
        """Relative to the truth; without bound where nothing was predicted."""
        return float("inf") if self.predicted is None else abs(self.predicted - self.true) / self.true


@dataclass(frozen=True, slots=True)
class Replayed:
    """One run: its name, how long it took, and a guess at each moment of `AT`; `percents` is what progress showed."""

    name: str
    seconds: float
    guesses: Sequence[Guess]
    percents: Sequence[float]


def replay(path: Path, at: Sequence[float] = AT) -> Replayed:
    """Plays one journal. A poll at a moment sees the events before it; both clocks run alike."""
    moments = recorded(path)
    began, ended = moments[0][0], moments[-1][0]
    seconds = ended - began
    guesses = [Guess(_eta(moments, began + part * seconds), seconds * (1 - part)) for part in at]
    return Replayed(path.name.removesuffix(".ndjson.gz"), seconds, guesses, [each.percent for _, each in moments])


def recorded(path: Path) -> list[tuple[float, Snapshot]]:
    """The snapshot after each event of a journal, with its time by the runner's monotonic clock."""
    events = [decode(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    snapshot = initial("550e8400-e29b-41d4-a716-446655440000", events[0].mono, auto_installer=False)
    moments = []
    for event in events:
        snapshot = reduce(snapshot, event, event.mono)
        moments.append((event.mono, snapshot))
    return moments


def _eta(moments: Sequence[tuple[float, Snapshot]], now: float) -> float | None:
    seen = [snapshot for mono, snapshot in moments if mono <= now]
    eta: float | None = progress(seen[-1], now)["eta_seconds"]
    return eta


def replay_all(folder: Path = JOURNALS) -> list[Replayed]:
    """All recorded runs, by name."""
    return [replay(path) for path in sorted(folder.glob("*.ndjson.gz"))]
