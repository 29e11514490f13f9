"""The bench's results: ratios, a table, a picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.engine.ways import Measured

WAYS = ("nodeferry", "sequential", "floor")
WORDS = {"nodeferry": "Nodeferry", "sequential": "one after another, pip", "floor": "floor: clones + one uv"}
MIN_TIMES_FASTER = 6.0
MAX_OF_FLOOR = 1.1
MAX_CPU_PERCENT = 3.0
MAX_BYTES = 60_000_000
_COLOURS = {"nodeferry": "#2f6f4f", "sequential": "#b0653a", "floor": "#7f8fa6"}
_LEFT, _WIDE, _ROW = 210, 700, 26


@dataclass(frozen=True, slots=True)
class Medians:
    """Of the runs of one way with one state of the caches, in seconds."""

    first_lane: float
    everything: float
    verify: float
    spread: tuple[float, float]


def medians(runs: Sequence[Measured]) -> Medians:
    """The medians of some runs."""
    every = [run.everything for run in runs]
    return Medians(
        _median(runs, lambda run: run.first_lane),
        _median(runs, lambda run: run.everything),
        _median(runs, lambda run: run.verify),
        (min(every), max(every)),
    )


def table(found: Mapping[tuple[str, str], Sequence[Measured]]) -> list[str]:
    """Lines of a table, a row for each state of the caches and way."""
    lines = [
        f"{'caches':7} {'way':24} {'first lane':>10} {'all':>8} {'min-max':>15} {'verify':>7} {'of Nodeferry':>13}"
    ]
    for (caches, way), runs in found.items():
        own, base = medians(runs), medians(found[caches, "nodeferry"])
        low, high = own.spread
        lines.append(
            f"{caches:7} {WORDS[way]:24} {own.first_lane:9.1f}s {own.everything:7.1f}s {low:6.1f}-{high:6.1f} s "
            f"{own.verify:6.1f}s {own.everything / base.everything:12.2f}x"
        )
    return lines


def verdicts(found: Mapping[tuple[str, str], Sequence[Measured]]) -> list[str]:
    """The ratios that are promised, each with its bound."""
    lines = []
    for caches in dict.fromkeys(caches for caches, _ in found):
        own, slow, best = (medians(found[caches, way]) for way in WAYS)
        faster = slow.everything / own.first_lane
        of_floor = own.everything / best.everything
        lines.append(f"{caches}: {faster:.2f} times as fast as one after another, until the first lane is installed")
        lines.append(f"{caches}: {of_floor:.2f} of the floor, until all is installed")
        if caches == "cold":
            lines[-2] += _bound(faster >= MIN_TIMES_FASTER, f"at least {MIN_TIMES_FASTER:g}")
            lines[-1] += _bound(of_floor <= MAX_OF_FLOOR, f"at most {MAX_OF_FLOOR:g}")
    runs = [run for (_, way), each in found.items() if way == "nodeferry" for run in each]
    cpu, peak = max(run.cpu_percent for run in runs), max(run.peak_bytes for run in runs)
    lines.append(f"runner: {cpu:.1f} % of a core" + _bound(cpu < MAX_CPU_PERCENT, f"under {MAX_CPU_PERCENT:g} %"))
    lines.append(f"runner: {peak / 1e6:.0f} MB at most" + _bound(peak < MAX_BYTES, f"under {MAX_BYTES / 1e6:.0f} MB"))
    return lines


def phases(run: Measured) -> list[str]:
    """Where one run's time went."""
    return [
        f"    {name:8} {began:6.2f} to {ended:6.2f} s  ({ended - began:5.2f} s)" for name, began, ended in run.phases
    ]


def picture(found: Mapping[tuple[str, str], Sequence[Measured]], caption: str) -> str:
    """The medians as bars, an SVG; the darker part of a bar is the time to the end of the first lane."""
    longest = max(medians(runs).everything for runs in found.values())
    rows = []
    for number, ((caches, way), runs) in enumerate(found.items()):
        rows += _bar(30 + number * _ROW, f"{caches}: {WORDS[way]}", _COLOURS[way], medians(runs), longest)
    height = 40 + len(found) * _ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE + 20}" height="{height}" font-family="sans-serif" '
    head += f'font-size="12"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="18">{escape(caption)}</text>'
    return "\n".join([head, *rows, "</svg>"]) + "\n"


def _bar(top: int, label: str, colour: str, own: Medians, longest: float) -> list[str]:
    def wide(seconds: float) -> int:
        return max(1, round((_WIDE - _LEFT - 60) * seconds / longest))

    rect = f'y="{top}" height="{_ROW - 8}" fill="{colour}"'
    return [
        f'<text x="{_LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(label)}</text>',
        f'<rect x="{_LEFT}" width="{wide(own.everything)}" {rect} opacity="0.55"/>',
        f'<rect x="{_LEFT}" width="{wide(own.first_lane)}" {rect}/>',
        f'<text x="{_LEFT + wide(own.everything) + 6}" y="{top + 13}">{own.everything:.1f} s</text>',
    ]


def _median(runs: Sequence[Measured], value: Callable[[Measured], float]) -> float:
    return statistics.median(value(run) for run in runs)


def _bound(met: bool, bound: str) -> str:
    return f"   [{'met' if met else 'MISSED'}: {bound}]"
