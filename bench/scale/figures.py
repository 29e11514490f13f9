"""The figures of one step, kept in a file as they are found, and what they must be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.fleet.script import Fate
from bench.scale.asked import Asked
from bench.scale.polls import percentile
from bench.scale.step import Measured

FILE = "scale.jsonl"
MEMORY_MB, LAG_SECONDS, POLL_RATIO, END_SECONDS = 1500.0, 2.0, 10.0, 5.0
"""What the step with the most installs may take: memory, event to poll (p95), polls (p99) as a multiple of those of the
step with one, and the end of the service."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """Of one number of installs at one rate. Times in seconds, memory in MB. `cores`, `database_cores`, `fleet` and
    `bench`: what the service, PostgreSQL, the instances and this program took of the processors."""

    engine: str
    installs: int
    rate: float
    load_average: float
    window: float
    running: float
    """Installs that ran in the window, on average."""
    events: float
    """Events a second that were written in it."""
    late: float
    """How late the fleet wrote them, on average. More than some milliseconds: the machine was too busy for the step."""
    accepted: float
    """Until all starts were answered."""
    start: tuple[float, ...]
    """From a start to the runner's start on the instance: median, p95, the last one."""
    memory_before: float
    memory: float
    database_memory: float
    threads: int
    files: int
    cores: float
    database_cores: float
    fleet: float
    fleet_memory: float
    bench: float
    lag: tuple[float, ...]
    """From an event to the first poll that saw it: p50, p95, p99; of `lags` events."""
    lags: int
    polls: int
    poll: tuple[float, ...]
    """p50, p99."""
    ended_true: int
    cut: int
    died: int
    silent: int
    left: dict[str, int]
    """Rows, files, threads, open files and connections once all had ended, beyond those of before."""
    wrong: tuple[str, ...] = ()
    restart: tuple[float, ...] = ()
    """Where the service was ended in the middle: until it had ended, and from its next start until all were followed
    again."""

    @property
    def holds(self) -> bool:
        """Whether the lag is not more than it may be, and all is as it must be."""
        return bool(self.lags) and self.lag[1] <= LAG_SECONDS and not self.wrong

    @classmethod
    def of(cls, asked: Asked, found: Measured) -> Figures:
        """Of a step that was measured."""
        window, seconds = found.window, max(found.window.seconds, 1e-6)
        truths = found.truths
        return cls(
            engine=asked.engine,
            installs=asked.installs,
            rate=asked.rate,
            load_average=round(found.load, 2),
            window=round(seconds, 1),
            running=round(window.running, 1),
            events=round(window.events, 1),
            late=round(window.late, 4),
            accepted=round(found.accepted, 2),
            start=_parts(found.begins, 0.5, 0.95, 1.0),
            memory_before=_mb(found.before.memory_kib),
            memory=_mb(found.most.memory_kib),
            database_memory=_mb(window.database_kib),
            threads=found.most.threads,
            files=found.most.files,
            cores=round(window.service / seconds, 3),
            database_cores=round(window.database / seconds, 3),
            fleet=round(window.fleet / seconds, 3),
            fleet_memory=_mb(window.fleet_kib),
            bench=round(window.bench / seconds, 3),
            lag=_parts(found.lags, 0.5, 0.95, 0.99),
            lags=len(found.lags),
            polls=len(found.polls),
            poll=_parts(found.polls, 0.5, 0.99),
            ended_true=found.true,
            cut=sum(truth["cuts"] > 0 for truth in truths),
            died=sum(truth["word"] == "died" for truth in truths),
            silent=sum(truth["fate"] == Fate.SILENT for truth in truths),
            left=found.left,
            wrong=tuple(found.wrong),
            restart=tuple(round(seconds, 2) for seconds in found.restart or ()),
        )

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        return dataclasses.asdict(self)

    @classmethod
    def of_json(cls, raw: dict[str, Any]) -> Figures:
        """From the file."""
        listed = ("start", "lag", "poll", "wrong", "restart")
        values: dict[str, Any] = {name: tuple(value) if name in listed else value for name, value in raw.items()}
        return cls(**values)


def _mb(kib: int) -> float:
    return round(kib * 1024 / 1e6, 1)


def _parts(values: Sequence[float], *parts: float) -> tuple[float, ...]:
    return tuple(round(percentile(values, part), 4) for part in parts)


class Results:
    """What was found so far, in a folder."""

    def __init__(self, folder: Path, about: dict[str, Any], *, resume: bool) -> None:
        """`about`: what all steps have in common. Raises ValueError when what is to be gone on with has another."""
        self.path = folder / FILE
        self.found: list[Figures] = []
        folder.mkdir(parents=True, exist_ok=True)
        if resume and self.path.exists():
            first, *lines = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
            if first != about:
                raise ValueError(f"{self.path} is of another call: {first}")
            self.found = [Figures.of_json(line) for line in lines]
            return
        if self.path.exists():
            self.path.replace(folder / f"previous-{FILE}")
        self._write(about)

    def add(self, figures: Figures) -> None:
        """Keeps a step."""
        self.found.append(figures)
        self._write(figures.to_json())

    def get(self, installs: int, rate: float) -> Figures | None:
        """A step that was measured."""
        return next((each for each in self.found if (each.installs, each.rate) == (installs, rate)), None)

    def _write(self, value: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")


def ratio(found: list[Figures], figures: Figures) -> float:
    """The p99 of polls, as a multiple of that with the fewest installs of the same run."""
    first = min(found, key=lambda each: (each.installs, each.rate))
    return figures.poll[1] / max(first.poll[1], 1e-6)


def faults(found: list[Figures], rate: float) -> list[str]:
    """What is not as it must be, of the steps at the rate that is asked for; of others what went wrong but for lag."""
    texts = [f"{each.installs} installs, {each.rate:g}/s: {text}" for each in found for text in each.wrong]
    for each in found:
        if each.rate != rate:
            continue
        limits = (
            ("MB of memory", each.memory, MEMORY_MB),
            ("seconds from an event to a poll (p95)", each.lag[1], LAG_SECONDS),
            ("times the p99 of polls with the fewest", ratio(found, each), POLL_RATIO),
            ("seconds until the service had ended", max(each.restart[:1], default=0.0), END_SECONDS),
        )
        texts += [
            f"{each.installs} installs: {got:.2f} {what}, at most {most:g}" for what, got, most in limits if got > most
        ]
    return texts


_HEADS = (
    *(
        "installs",
        "events/s",
        "MB",
        "threads",
        "open files",
        "cores",
        "CPU ms a s for each more install",
        "start p50 / last s",
    ),
    *("event → poll p50 / p95 / p99 ms", "poll p50 / p99 ms", "p99 ratio", "ends true", "left"),
)


def table(found: list[Figures]) -> Iterator[str]:
    """In Markdown."""
    yield "| " + " | ".join(_HEADS) + " |"
    yield "|" + "---:|" * len(_HEADS)
    for each in found:
        yield "| " + " | ".join(_cells(found, each)) + " |"
    if any(each.engine == "postgresql" for each in found):
        yield ""
        yield "PostgreSQL itself, not in these figures: " + "; ".join(
            f"{each.installs}: {each.database_memory:.0f} MB, {each.database_cores:.2f} cores" for each in found
        )


def _cells(found: list[Figures], each: Figures) -> Iterator[str]:
    p50, p95, p99 = (f"{value * 1000:.0f}" for value in each.lag)
    yield from (f"{each.installs:,}", f"{each.events:,.0f}", f"{each.memory:,.0f}", str(each.threads), str(each.files))
    yield from (f"{each.cores:.2f}", _each_more(found, each), f"{each.start[0]:.1f} / {each.start[2]:.1f}")
    yield from (f"{p50} / {p95} / {p99}", f"{each.poll[0] * 1000:.1f} / {each.poll[1] * 1000:.1f}")
    yield from (f"{ratio(found, each):.1f}", f"{each.ended_true:,} of {each.installs:,}")
    yield ", ".join(f"{value} {name}" for name, value in each.left.items() if value) or "nothing"


def _each_more(found: list[Figures], each: Figures) -> str:
    """Milliseconds of a processor a second for each install beyond the fewest of the same run: what polls and an idle
    service take is the same in all steps."""
    first = min(found, key=lambda other: (other.installs, other.rate))
    more = each.running - first.running
    return f"{(each.cores - first.cores) * 1000 / more:.2f}" if more > 0.5 else "-"


def highest(found: list[Figures]) -> str:
    """The highest event rate that holds, of those that were tried with the most installs."""
    most = max(each.installs for each in found)
    tried = sorted((each for each in found if each.installs == most), key=lambda each: each.rate)
    held = [each for each in tried if each.holds]
    if not held:
        return f"With {most} installs no rate that was tried holds."
    rate = f"{held[-1].rate:g} a second each, {held[-1].events:,.0f} in all"
    more = "" if tried[-1].holds else f"; {tried[-1].rate:g} does not (p95 {tried[-1].lag[1]:.1f} s)"
    return f"The highest event rate that holds with {most} installs, of those tried: {rate}{more}."
