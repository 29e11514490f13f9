"""What a campaign found: tasks as they end, and the figures of each call, kept in a file; the judgement of all."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.hostile.cancels import PROMPT_SECONDS, Kind
from bench.hostile.play import Played
from bench.hostile.script import LEVELS

FILE = "hostile.jsonl"
MEMORY, HEALTH, POLLS = 2.0, 3.0, 5.0
"""What the service may take, as multiples of what it takes unloaded."""


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """One call's. Milliseconds and KiB; `honest`: installs that ended as they must."""

    seconds: float
    health_unloaded: float
    health: float
    polls_unloaded: float
    polls: float
    asked: int
    memory_start: int
    memory_warm: int
    memory_most: int
    memory_end: int
    honest: int
    wrong: tuple[str, ...]

    def faults(self) -> list[str]:
        """What is more than it may be, and what went wrong beside the hostile tasks."""
        pairs = (
            ("memory", self.memory_most / max(1, self.memory_start), MEMORY),
            ("the median of health", self.health / max(1e-9, self.health_unloaded), HEALTH),
            ("the p99 of polls", self.polls / max(1e-9, self.polls_unloaded), POLLS),
        )
        return [f"{what} is {times:.2f} times that of the start" for what, times, most in pairs if times > most] + list(
            self.wrong
        )

    def lines(self) -> Iterator[str]:
        """For people."""
        memory = self.memory_most / max(1, self.memory_start)
        yield (
            f"memory: {self.memory_start / 1024:.0f} MiB at the start, {self.memory_warm / 1024:.0f} after the first "
            f"tasks, {self.memory_most / 1024:.0f} at most (x{memory:.2f}), {self.memory_end / 1024:.0f} at the end"
        )
        health, polls = self.health / max(1e-9, self.health_unloaded), self.polls / max(1e-9, self.polls_unloaded)
        yield f"health, median: {self.health_unloaded:.1f} ms unloaded, {self.health:.1f} ms (x{health:.2f})"
        yield f"polls, p99: {self.polls_unloaded:.1f} ms unloaded, {self.polls:.1f} ms (x{polls:.2f}), of {self.asked}"
        yield f"honest installs that ended as they must: {self.honest}"


class Results:
    """For one thread at a time."""

    def __init__(self, folder: Path, seed: int, *, resume: bool) -> None:
        """Raises ValueError when what is to be gone on with has another seed."""
        self._path = folder / FILE
        self.played: dict[int, Played] = {}
        self.figures: list[Figures] = []
        folder.mkdir(parents=True, exist_ok=True)
        if resume and self._path.exists():
            self._read(seed)
            return
        if self._path.exists():
            self._path.replace(folder / f"previous-{FILE}")
        self._write({"seed": seed})

    def add(self, played: Played) -> None:
        """Keeps a task."""
        self.played[played.number] = played
        self._write({"task": played.to_json()})

    def add_figures(self, figures: Figures) -> None:
        """Keeps a call's figures."""
        self.figures.append(figures)
        self._write({"figures": dataclasses.asdict(figures)})

    @property
    def seconds(self) -> float:
        """Of all calls."""
        return sum(figures.seconds for figures in self.figures)

    def faults(self) -> list[str]:
        """All that is not as it must be."""
        found = [fault for figures in self.figures for fault in figures.faults()]
        for played in self.played.values():
            found += [f"task {played.number}, {played.name} ({played.command}): {text}" for text in played.wrong]
        return found

    def _write(self, line: object) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _read(self, seed: int) -> None:
        first, *lines = [json.loads(line) for line in self._path.read_text("utf-8").splitlines()] or [{}]
        if first.get("seed") != seed:
            raise ValueError(f"{self._path} has the seed {first.get('seed')}, not {seed}.")
        for raw in lines:
            if "task" in raw:
                played = Played(**{**raw["task"], "wrong": tuple(raw["task"]["wrong"])})
                self.played[played.number] = played
            else:
                self.figures.append(Figures(**{**raw["figures"], "wrong": tuple(raw["figures"]["wrong"])}))


def table(results: Results, seed: int) -> Iterator[str]:
    """A line a level, the figures, and what was wrong, with how to repeat it."""
    yield f"{'level':12}{'tasks':>7}{'cancelled':>11}{'failed':>8}{'completed':>11}{'median s':>10}{'wrong':>7}"
    everything = list(results.played.values())
    for level in [*LEVELS, "all"]:
        tasks = [played for played in everything if level in ("all", played.name.partition(":")[0])]
        if not tasks:
            continue
        ends = Counter(played.end for played in tasks)
        seconds = statistics.median(played.seconds for played in tasks)
        wrong = sum(bool(played.wrong) for played in tasks)
        yield (
            f"{level:12}{len(tasks):7}{ends['cancelled']:11}{ends['failed']:8}{ends['completed']:11}"
            f"{seconds:10.1f}{wrong:7}"
        )
    yield from _cancels(everything)
    for figures in results.figures:
        yield f"{figures.seconds:.0f} s, seed {seed}:"
        yield from (f"  {line}" for line in figures.lines())
    for fault in results.faults():
        yield f"WRONG: {fault}"
    numbers = [str(played.number) for played in everything if played.wrong]
    if numbers:
        yield f"to repeat: python -m bench.hostile --seed {seed} --only {' --only '.join(numbers[:10])}"


def _cancels(everything: list[Played]) -> Iterator[str]:
    """A line for all, and one for each reason why some may take longer."""
    cancels = [(played.cancel_seconds, played.kept) for played in everything if played.cancel_seconds is not None]
    prompt = sum(seconds <= PROMPT_SECONDS for seconds, _ in cancels)
    yield f"cancels: {len(cancels)}, of which {prompt} took {PROMPT_SECONDS:g} s or less"
    for kind in Kind:
        slow = [seconds for seconds, kept in cancels if kept == kind and seconds > PROMPT_SECONDS]
        if slow:
            yield f"  longer, kept by {kind}: {len(slow)}, the slowest {max(slow):.1f} s"
