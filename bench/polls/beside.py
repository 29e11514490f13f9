"""Polls beside running installs, against a constant body of the same length from the same server in the same run."""

from __future__ import annotations

import os
import statistics
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.load import Plan, Told, run
from bench.polls.fleet import TOKEN, Fleet

KINDS = ("plain", "since", "patch")
RATE = 100.0
"""Requests a second whose latency is measured: a tenth of what a server can answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A kind of polls and the constant body, in turn. `cpu_us`: microseconds of the service's processor time an
    answer, without what the installs cost."""

    kind: str
    polls: list[Told]
    constant: list[Told]
    cpu_us: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Polls a second by constant bodies a second: the median of the rounds."""
        pairs = zip(self.polls, self.constant, strict=True)
        return statistics.median([one.a_second / other.a_second for one, other in pairs])

    @property
    def told(self) -> str:
        """The figures behind it."""
        polls, constant = (statistics.median([each.a_second for each in told]) for told in (self.polls, self.constant))
        size, (mine, its) = self.polls[0].bytes, self.cpu_us
        return f"{polls:.0f} to {constant:.0f} a second, {size:.0f} bytes; service {mine:.0f} to {its:.0f} us each"


def throughput(
    fleet: Fleet,
    kind: str,
    *,
    seconds: float,
    rounds: int,
    connections: int,
    packed: bool = False,
    against: str = "constant",
) -> Pair:
    """Closed loops in turn. `against`: which constant body; each round's has the length that the polls' answers had on
    average."""
    plan = Plan(fleet.host, fleet.tasks, kind, TOKEN, connections=connections, seconds=seconds, packed=packed)
    run(replace(plan, seconds=min(1.0, seconds)))
    polls, constant, mine, its = [], [], [], []
    own = _without_polls(fleet.pid, seconds)
    for _ in range(rounds):
        told, cpu = _measured(fleet.pid, plan, own)
        polls.append(told)
        mine.append(cpu)
        told, cpu = _measured(fleet.pid, replace(plan, kind=against, bytes=round(told.bytes)), own)
        constant.append(told)
        its.append(cpu)
    return Pair(kind, polls, constant, (statistics.median(mine), statistics.median(its)))


def latency(fleet: Fleet, *, seconds: float, rate: float = RATE) -> tuple[Told, Told]:
    """Of polls that are due by chance, and of a constant body."""
    plan = Plan(fleet.host, fleet.tasks, "patch", TOKEN, connections=8, seconds=seconds, rate=rate)
    polls = run(plan)
    return polls, run(replace(plan, kind="constant", bytes=round(polls.bytes), seed=2))


def _without_polls(pid: int, seconds: float) -> float:
    """Processor seconds a second of the service while nobody polls."""
    before, began = cpu_seconds(pid), time.monotonic()
    threading.Event().wait(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def _measured(pid: int, plan: Plan, own: float) -> tuple[Told, float]:
    before, began = cpu_seconds(pid), time.monotonic()
    told = run(plan)
    spent = cpu_seconds(pid) - before - own * (time.monotonic() - began)
    return told, max(0.0, spent) / max(1, told.answers) * 1e6


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
