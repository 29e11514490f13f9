"""The bench's results as text: a table, the ratios that are promised, and whether two ways installed the same."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.engine.results import Finding, Key, Measured

WAYS = ("nodeferry", "floor", "sequential")
"""In the order in which they are measured: a, c, b."""
WORDS = {"nodeferry": "Nodeferry", "sequential": "one after another, pip", "floor": "floor: clones + one uv"}
MIN_TIMES_FASTER = 6.0
MAX_OF_FLOOR = 1.1
MAX_CPU_PERCENT = 3.0
MAX_BYTES = 60_000_000


@dataclass(frozen=True, slots=True)
class Medians:
    """Of the measurements of one key, in seconds."""

    first_lane: float
    everything: float
    verify: float
    spread: tuple[float, float]
    loads: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A promise: what it is of, its value, and whether its bound is kept (None: it has none)."""

    text: str
    met: bool | None = None
    bound: str = ""

    @property
    def line(self) -> str:
        """With its bound."""
        return self.text if self.met is None else f"{self.text}   [{'met' if self.met else 'MISSED'}: {self.bound}]"


def medians(runs: Mapping[int, Measured]) -> Medians:
    """The medians of some measurements."""
    every = [run.everything for run in runs.values()]
    loads = [run.load for run in runs.values()]
    return Medians(
        _median(runs, lambda run: run.first_lane),
        _median(runs, lambda run: run.everything),
        _median(runs, lambda run: run.verify),
        (min(every), max(every)),
        (min(loads), max(loads)),
    )


def typical(runs: Mapping[int, Measured]) -> Measured:
    """The measurement in the middle."""
    return sorted(runs.values(), key=lambda run: run.everything)[(len(runs) - 1) // 2]


def table(found: Finding) -> list[str]:
    """Lines of a table, a row for each key."""
    head = f"{'shape':12}{'caches':7}{'way':24}{'runs':>4}{'first stage':>12}{'all':>9}{'min-max':>15}{'verify':>9}"
    lines = [f"{head}{'load':>11}{'runner':>16}"]
    for key, runs in found.items():
        own = medians(runs)
        cpu, peak = _runner(runs)
        runner = f"{cpu:.1f} %, {peak / 1e6:.0f} MB" if peak else ""
        verify = f"{own.verify:.1f} s" if own.verify else ""
        line = f"{key.shape:12}{key.caches:7}{WORDS[key.way]:24}{len(runs):4}{own.first_lane:10.1f} s"
        line += f"{own.everything:7.1f} s{own.spread[0]:7.1f}-{own.spread[1]:<5.1f} s{verify:>9}"
        lines.append(f"{line}{own.loads[0]:6.1f}-{own.loads[1]:<4.1f}{runner:>16}")
    return lines


def ratios(found: Finding) -> Iterator[Ratio]:
    """What is promised, of the medians; with warm caches nothing is."""
    for shape, caches, latency in dict.fromkeys((key.shape, key.caches, key.latency_ms) for key in found):
        where = f"{shape}, {caches}"
        runs = [found.get(Key(shape, caches, way, latency), {}) for way in WAYS]
        own, best, slow = (medians(each) if each else None for each in runs)
        cold = caches == "cold"
        if own and slow:
            faster = slow.everything / own.first_lane
            text = f"{where}: first lane installed {faster:.2f} times as fast as all one after another"
            yield Ratio(text, faster >= MIN_TIMES_FASTER if cold else None, f"at least {MIN_TIMES_FASTER:g}")
        if own and best:
            part = own.everything / best.everything
            text = f"{where}: all installed in {part:.2f} of the floor"
            yield Ratio(text, part <= MAX_OF_FLOOR if cold else None, f"at most {MAX_OF_FLOOR:g}")
    yield from footprint(found)


def footprint(found: Finding) -> Iterator[Ratio]:
    """What the runner's own process takes."""
    every = [run for key, runs in found.items() if key.way == "nodeferry" for run in runs.values()]
    if not every:
        return
    cpu, peak = _runner(dict(enumerate(every)))
    seconds = max(run.cpu_seconds for run in every)
    yield Ratio(
        f"the runner itself: {cpu:.1f} % of a core at most ({seconds:.2f} s)",
        cpu < MAX_CPU_PERCENT,
        f"under {MAX_CPU_PERCENT:g} %",
    )
    yield Ratio(
        f"the runner itself: {peak / 1e6:.0f} MB resident at most", peak < MAX_BYTES, f"under {MAX_BYTES / 1e6:.0f} MB"
    )


def same(found: Finding) -> list[str]:
    """Whether Nodeferry and the floor left the same packages, in their last measurements with cold caches."""
    lines = []
    for shape, latency in dict.fromkeys((key.shape, key.latency_ms) for key in found):
        own, best = (found.get(Key(shape, "cold", way, latency), {}) for way in ("nodeferry", "floor"))
        if not (own and best):
            continue
        ours, theirs = own[max(own)].packages, best[max(best)].packages
        differing = [
            f"{name} {ours.get(name, 'not there')} (floor: {theirs.get(name, 'not there')})"
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        ]
        text = f"{shape}: Nodeferry and the floor leave the same {len(ours)} packages"
        lines.append(text if not differing else f"{shape}: not the same packages: {', '.join(differing)}")
    return lines


def _runner(runs: Mapping[int, Measured]) -> tuple[float, int]:
    return max(run.cpu_percent for run in runs.values()), max(run.peak_bytes for run in runs.values())


def _median(runs: Mapping[int, Measured], value: Callable[[Measured], float]) -> float:
    return statistics.median([value(run) for run in runs.values()])


def in_order(found: Finding, shapes: Sequence[str]) -> Finding:
    """By shape, caches and way, as they are shown."""
    order = sorted(found, key=lambda key: (shapes.index(key.shape), key.latency_ms, key.caches, WAYS.index(key.way)))
    return {key: found[key] for key in order}
