"""One run: fifty installs and a few late ones on a fresh cluster, the faults of its dice, and the judgement."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.standin.processes import processes_below
from bench.cluster.cluster import Cluster, Wanted
from bench.cluster.host import PlayedHost
from bench.cluster.prove.asks import Asks
from bench.cluster.prove.faults import Fault, Kind
from bench.cluster.prove.judge import judge, notes
from bench.cluster.prove.strikes import Strikes
from bench.cluster.prove.watch import Watch
from bench.fleet.script import Play

_CANCELS, _END_SECONDS = 3, 200.0
_ASKED_SECONDS = (3.0, 40.0)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a run. `late`: installs that are started while faults happen; `rate`: events a second of each install."""

    installs: int = 50
    late: int = 6
    rate: float = 1.0
    events: int = 110


@dataclass
class Played:
    """A run that was played. `ended`: installs that did; `short_logs`: logs without their last lines; `notes`: what the
    members wrote of it."""

    number: int
    seconds: float = 0.0
    faults: list[dict[str, Any]] = field(default_factory=list)
    ended: int = 0
    polls: int = 0
    unavailable: int = 0
    unreachable: int = 0
    retried: int = 0
    takeovers: int = 0
    short_logs: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self)


def play(
    seed: int,
    number: int,
    faults: Sequence[Fault],
    host: PlayedHost | None,
    *,
    say: Callable[[str], None],
    logs: Path,
    size: Size | None = None,
) -> Played:
    """Plays it. `host`: where one of the three workers is; `logs`: where the members' logs go if something is wrong."""
    size = size or Size()
    played, began = Played(number), time.monotonic()
    fleet = Play(
        seed=seed * 1000 + number,
        instances=size.installs + size.late,
        rate=size.rate,
        events=size.events,
        drops=0.1,
        deaths=0.04,
        fresh=0.2,
    )
    wanted = Wanted(web=2, workers=2 if host else 3, fleet=fleet, host=host)
    with Cluster(wanted, max_running=str(fleet.instances)) as cluster:
        folders = (cluster.folder, cluster.postgresql.folder)
        dice = random.Random(f"asks {seed}:{number}")
        _run(cluster, host, faults, size=size, played=played, dice=dice, say=say)
        if played.wrong:
            for member in cluster.members:
                shutil.copy(member.log, logs / f"run-{number}-{member.name}.log")
    left = [process.pid for folder in folders for process in processes_below(folder)]
    if left:
        played.wrong.append(f"processes left: {left}")
    played.seconds = round(time.monotonic() - began, 1)
    return played


def _run(
    cluster: Cluster,
    host: PlayedHost | None,
    faults: Sequence[Fault],
    *,
    size: Size,
    played: Played,
    dice: random.Random,
    say: Callable[[str], None],
) -> None:
    asks = Asks(cluster)
    strikes, watch = Strikes(cluster, host, say), Watch(cluster, asks.tasks)
    for number in range(size.installs):
        asks.start(number)
    watch.begin()
    strikes.begin(faults)
    try:
        _ask_meanwhile(asks, size, dice)
        strikes.wait()
        asks.wait()
        until, pause = time.monotonic() + _END_SECONDS, threading.Event()
        while not watch.have_ended() and time.monotonic() < until:
            pause.wait(0.5)
    finally:
        asks.close()
        strikes.close()
        watch.close()
    played.faults, played.retried = strikes.to_json(), asks.tries
    is_cut = any(fault.kind is Kind.AWAY for fault in faults)
    wrong, played.short_logs = judge(cluster, asks, watch, size.installs + size.late, is_cut=is_cut)
    played.wrong = [*strikes.wrong, *wrong]
    played.ended = min(len(place.ends) for place in watch.places)
    played.polls = sum(place.polls for place in watch.places)
    played.unavailable = sum(place.unavailable for place in watch.places)
    played.unreachable = sum(place.unreachable for place in watch.places)
    played.takeovers = sum(row["lease_token"] - 1 for row in watch.rows.values())
    played.notes = notes(cluster)


def _ask_meanwhile(asks: Asks, size: Size, dice: random.Random) -> None:
    """Starts and cancels while faults happen."""
    for number in range(size.installs, size.installs + size.late):
        asks.later(dice.uniform(*_ASKED_SECONDS), asks.start, number)
    for number in dice.sample(range(size.installs), min(_CANCELS, size.installs)):
        asks.later(dice.uniform(*_ASKED_SECONDS), asks.cancel, number)
