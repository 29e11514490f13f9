"""What a bench has found: ratios with their goals, as a table, a file and a picture."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

_WIDE, _LEFT, _BARS, _ROW = 900, 340, 380, 30
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.head { font-size: 15px; font-weight: 600 } .dim { fill: #59636e } .end { text-anchor: end }
.back { fill: #ffffff } .track { fill: #eaeef2 } .goal { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3 }
.met { fill: #2f8f5b } .missed { fill: #b42318 } .none { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .dim { fill: #9198a1 }
  .back { fill: #0d1117 } .track { fill: #21262d } .goal { stroke: #e6edf3 }
  .met { fill: #3fb950 } .missed { fill: #ff7b72 } .none { fill: #6e7681 }
}
"""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One thing that was measured against another. `least`, `most`: the goal, where there is one; `told`: the figures
    that it is made of; `unit`: of a figure that is no ratio."""

    bench: str
    what: str
    value: float
    least: float | None = None
    most: float | None = None
    told: str = ""
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Whether the goal is; None without one."""
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value <= self.most

    @property
    def goal(self) -> str:
        """In words."""
        if self.least is not None:
            return f">= {_figure(self.least)} {self.unit}"
        return "" if self.most is None else f"<= {_figure(self.most)} {self.unit}"

    @property
    def verdict(self) -> str:
        """In one word."""
        return {True: "met", False: "MISSED", None: ""}[self.met]

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when: the load average when it began and when it ended."""

    processors: int
    system: str
    python: str
    date: str
    load_before: float
    load_after: float

    @classmethod
    def now(cls) -> Machine:
        """As it is."""
        load = round(os.getloadavg()[0], 1)
        date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        return cls(os.cpu_count() or 0, platform.system(), platform.python_version(), date, load, load)

    def ended(self) -> Machine:
        """The same at the end."""
        return replace(self, load_after=round(os.getloadavg()[0], 1))

    @property
    def words(self) -> str:
        """In one line."""
        load = f"load {self.load_before:g} to {self.load_after:g}"
        return f"{self.date}, {self.processors} processors, {self.system}, Python {self.python}, {load}"


def table(ratios: Sequence[Ratio]) -> str:
    """For people."""
    lines = [("bench", "what", "value", "goal", "", "of")]
    for each in ratios:
        value = f"{_figure(each.value)} {each.unit}"
        lines.append((each.bench, each.what, value, each.goal, each.verdict, each.told))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[5]]).rstrip()
        for line in lines
    )


def write(ratios: Sequence[Ratio], machine: Machine, folder: Path, **more: Any) -> None:
    """`ratios.json` and `ratios.svg` in `folder`. `more`: figures behind them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"machine": asdict(machine), "ratios": [each.to_json() for each in ratios], **more}
    (folder / "ratios.json").write_text(json.dumps(found, indent=1), "utf-8")
    (folder / "ratios.svg").write_text(picture(ratios, machine), "utf-8")


def picture(ratios: Sequence[Ratio], machine: Machine) -> str:
    """Each ratio on a scale of its own, in powers of ten: to the right of its goal is better."""
    drawn = [each for each in ratios if each.met is not None]
    high = 66 + _ROW * len(drawn)
    size = f'width="{_WIDE}" height="{high}" viewBox="0 0 {_WIDE} {high}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>Ratios and their goals</title><style>{_STYLE}</style>",
        '<rect width="100%" height="100%" class="back"/>',
        '<text x="16" y="24" class="head">Ratios and their goals</text>',
        f'<text x="16" y="42" class="dim">{escape(machine.words)}; beyond the dashed line: better than the goal</text>',
    ]
    for number, each in enumerate(drawn):
        parts += _row(each, 58 + number * _ROW)
    goal_x = _LEFT + _BARS / 2
    parts += [f'<line x1="{goal_x}" x2="{goal_x}" y1="52" y2="{high - 10}" class="goal"/>', "</svg>"]
    return "\n".join(parts) + "\n"


def _row(ratio: Ratio, top: float) -> list[str]:
    wide = _BARS * (0.5 + max(-0.49, min(0.5, _better_by(ratio) / 4)))
    kind = "met" if ratio.met else "missed"
    said = f"{_figure(ratio.value)} {ratio.unit}  ({ratio.goal})"
    title = f"<title>{escape(ratio.told or said)}</title>"
    return [
        f'<text x="{_LEFT - 10}" y="{top + 15}" class="end">{escape(f"{ratio.bench}: {ratio.what}")}</text>',
        f'<rect x="{_LEFT}" y="{top + 3}" width="{_BARS}" height="16" class="track"/>',
        f'<rect x="{_LEFT}" y="{top + 3}" width="{wide:.1f}" height="16" class="{kind}">{title}</rect>',
        f'<text x="{_LEFT + _BARS + 10}" y="{top + 15}">{escape(said)}</text>',
    ]


def _better_by(ratio: Ratio) -> float:
    """How much better than the goal, in powers of ten; below 0: worse."""
    value = max(ratio.value, 1e-9)
    if ratio.least is not None:
        return math.log10(value / ratio.least)
    return math.log10((ratio.most or 1.0) / value)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def missed(ratios: Iterable[Ratio]) -> list[Ratio]:
    """Those whose goal is not met."""
    return [each for each in ratios if each.met is False]
