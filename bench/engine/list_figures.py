"""The results of the real list's form: packages, scripts and verification apart, and the ratios that are promised."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.engine.figures import WAYS, WORDS, Ratio
from bench.engine.results import Finding, Key, Measured

EARLY, MOST = 25, 27
_PACKAGES_OF_FLOOR = 1.15
_WHOLE_OF_USUAL = 0.7
_MOST_OF_FLOOR = 1.1


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of the measurements of one way, in seconds; of packs None where that many were never installed."""

    early: float | None
    three_quarters: float | None
    most: float | None
    packages: float
    scripts: float
    verify: float
    whole: float
    cpu: float
    """Processor seconds of the runner's own process."""
    packs: float
    spread: tuple[float, float]
    load: float


def figures_of(runs: Mapping[int, Measured], packs: int) -> Figures:
    """`packs`: how many the list has."""
    every = list(runs.values())
    wholes = [run.whole for run in every]
    return Figures(
        _packs_median(every, EARLY),
        _packs_median(every, -(-packs * 3 // 4)),
        _packs_median(every, MOST),
        _median(every, lambda run: run.packages_seconds),
        _median(every, lambda run: run.scripts_seconds),
        _median(every, lambda run: run.verify),
        _median(every, lambda run: run.whole),
        _median(every, lambda run: run.cpu_seconds),
        _median(every, lambda run: len(run.packs_at)),
        (min(wholes), max(wholes)),
        _median(every, lambda run: run.load),
    )


def list_table(found: Finding, packs: int) -> list[str]:
    """A row for each key."""
    share = f"{-(-packs * 3 // 4)} (75 %)"
    head = f"{'latency':>8} {'caches':6} {'way':22}{'runs':>5}{f'{EARLY} packs':>10}{share:>10}{f'{MOST} packs':>10}"
    lines = [
        f"{head}{'packages':>10}{'scripts':>9}{'verify':>8}{'whole':>8}{'min-max':>14}{'packs':>7}{'cpu':>7}{'load':>6}"
    ]
    for key, runs in found.items():
        own = figures_of(runs, packs)
        line = f"{key.latency_ms:5} ms {key.caches:6} {WORDS[key.way]:22}{len(runs):5}"
        line += "".join(f"{_seconds(each):>10}" for each in (own.early, own.three_quarters, own.most, own.packages))
        line += f"{own.scripts:9.1f}{own.verify:8.1f}{own.whole:8.1f}{own.spread[0]:7.1f}-{own.spread[1]:<6.1f}"
        lines.append(f"{line}{own.packs:7.0f}{_seconds(own.cpu or None):>7}{own.load:6.1f}")
    return lines


def list_ratios(found: Finding, packs: int, *, long_build: bool = False) -> Iterator[Ratio]:
    """What is promised, of the medians. With the long build nothing is: its runs are compared with those without."""
    for shape, caches, latency in dict.fromkeys((key.shape, key.caches, key.latency_ms) for key in found):
        runs = [found.get(Key(shape, caches, way, latency), {}) for way in WAYS]
        own, best, usual = (figures_of(each, packs) if each else None for each in runs)
        where = f"{latency} ms, {caches}"
        found_ratios = []
        if own and best:
            found_ratios.append((_PACKAGES_OF_FLOOR, "packages", own.packages, "the floor", best.packages))
            if own.most is not None:
                found_ratios.append((_MOST_OF_FLOOR, f"{MOST} packs", own.most, "the floor's end", best.whole))
        if own and usual:
            found_ratios.append((_WHOLE_OF_USUAL, "the whole run", own.whole, "the usual script", usual.whole))
        for bound, what, seconds, of, other in found_ratios:
            part = seconds / other
            met = part <= bound if caches == "cold" and not long_build else None
            text = f"{where}: {what} in {part:.2f} of {of} ({seconds:.1f} of {other:.1f} s)"
            yield Ratio(text, met, f"at most {bound:g}")


def as_json(found: Finding, packs: int) -> list[dict[str, Any]]:
    """The table's figures, unrounded."""
    rows = []
    for key, runs in found.items():
        own = figures_of(runs, packs)
        row = {"shape": key.shape, "caches": key.caches, "latency_ms": key.latency_ms, "way": key.way}
        rows.append({**row, "runs": len(runs), **dataclasses.asdict(own)})
    return rows


def _packs_median(runs: list[Measured], packs: int) -> float | None:
    found = [run.until(packs) for run in runs]
    known = [each for each in found if each is not None]
    return statistics.median(known) if len(known) == len(found) else None


def _median(runs: list[Measured], value: Callable[[Measured], float]) -> float:
    return statistics.median([value(run) for run in runs])


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
