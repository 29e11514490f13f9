"""The bench's picture, an SVG without anything else: what grows with the number of installs, and how.

Four panels, each over the same numbers of installs, evenly spaced; a bar for each engine, a dashed line for a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bench.picture_style import COMMON
from bench.scale.figures import LAG_SECONDS, MEMORY_MB, POLL_RATIO, Figures, ratio

_WIDE, _PANEL, _HIGH, _GAP, _LEFT, _TOP = 900, 340, 150, 110, 80, 78
_BAR = 38
_STEPS = (1, 2, 2.5, 5)
_STYLE = (
    COMMON
    + """\
.num { paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
.limit { stroke: #b42318; stroke-width: 1.5; stroke-dasharray: 5 4 }
.over { fill: #b42318 }
.embedded { fill: #3b82c4 }
.postgresql { fill: #8a5cc7 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .dim { fill: #9198a1 }
  .back { fill: #0d1117 }
  .grid { stroke: #30363d }
  .num { stroke: #0d1117 }
  .limit { stroke: #ff7b72 }
  .over { fill: #ff7b72 }
  .embedded { fill: #58a6ff }
  .postgresql { fill: #bc8cff }
}
"""
)


@dataclass(frozen=True, slots=True)
class _Panel:
    """`limit`: what the value may be; 0: anything."""

    title: str
    value: Callable[[Figures], float]
    form: str
    limit: float = 0.0


def draw(found: Sequence[Figures]) -> str:
    """The picture of the steps at the lowest rate of each number of installs."""
    rate = min(each.rate for each in found)
    steps = [each for each in found if each.rate == rate]
    numbers = sorted({each.installs for each in steps})
    engines = {engine: [each for each in steps if each.engine == engine] for engine in ("embedded", "postgresql")}
    engines = {engine: mine for engine, mine in engines.items() if mine}
    title = f"Installs at once, {rate:g} event{'s' if rate != 1 else ''} a second each"
    parts = [_text(16, 26, title, "head")]
    for place, engine in enumerate(engines):
        x = 16 + place * 230
        parts += [
            f'<rect x="{x}" y="42" width="12" height="12" class="{engine}"/>',
            _text(x + 18, 52, _WORDS[engine], "dim"),
        ]
    for place, panel in enumerate(_panels(list(steps))):
        x, y = _LEFT + place % 2 * (_PANEL + _GAP - 20), _TOP + place // 2 * (_HIGH + 90)
        parts += _drawn(panel, engines, numbers, x, y)
    high = _TOP + 2 * (_HIGH + 90) - 24
    size = f'width="{_WIDE}" height="{high}" viewBox="0 0 {_WIDE} {high}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    back = '<rect width="100%" height="100%" class="back"/>'
    return (
        "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", back, *parts, "</svg>"]) + "\n"
    )


_WORDS = {"embedded": "one process, SQLite", "postgresql": "several processes, PostgreSQL"}


def _panels(steps: list[Figures]) -> tuple[_Panel, ...]:
    def poll(each: Figures) -> float:
        return ratio([other for other in steps if other.engine == each.engine], each)

    return (
        _Panel("memory, MB", lambda each: each.memory, ",.0f", MEMORY_MB),
        _Panel("processor, cores", lambda each: each.cores, ".2f"),
        _Panel("event → poll, p95, seconds", lambda each: each.lag[1], ".2f", LAG_SECONDS),
        _Panel("poll, p99, times that with the fewest installs", poll, ".1f", POLL_RATIO),
    )


def _drawn(
    panel: _Panel, engines: dict[str, list[Figures]], numbers: Sequence[int], left: float, top: float
) -> list[str]:
    values = [panel.value(each) for mine in engines.values() for each in mine]
    most = max([*values, panel.limit]) * 1.08 or 1.0
    base = top + 22 + _HIGH

    def x(installs: int) -> float:
        return left + (numbers.index(installs) + 0.5) * _PANEL / len(numbers)

    def y(value: float) -> float:
        return base - value / most * _HIGH

    parts = [_text(left, top + 8, panel.title, "sub")]
    for number in range(int(most / (step := _step(most))) + 1):
        at = y(number * step)
        parts += [_line(left, left + _PANEL, at, "grid"), _text(left - 8, at + 4, f"{number * step:,g}", "end dim")]
    parts += [_text(x(installs), base + 18, f"{installs:,}", "mid dim") for installs in numbers]
    numbers_on_top = []
    for place, (engine, mine) in enumerate(engines.items()):
        for each in mine:
            value = panel.value(each)
            at = x(each.installs) + (place - len(engines) / 2) * _BAR
            size = f'width="{_BAR - 4}" height="{max(base - y(value), 0.6):.1f}"'
            words = f"<title>{each.installs:,} installs, {_WORDS[engine]}: {value:{panel.form}}</title>"
            parts.append(f'<rect x="{at + 2:.1f}" y="{y(value):.1f}" {size} class="{engine}">{words}</rect>')
            over = " over" if panel.limit and value > panel.limit else ""
            numbers_on_top.append(_text(at + _BAR / 2, y(value) - 5, f"{value:{panel.form}}", f"mid num{over}"))
    if panel.limit:
        parts += [_line(left, left + _PANEL, y(panel.limit), "limit")]
        parts += [_text(left + _PANEL + 4, y(panel.limit) + 4, "limit", "over")]
    return parts + numbers_on_top


def _step(most: float) -> float:
    """Between two lines: four to eight of them."""
    size = 10.0 ** len(str(int(most)))
    while True:
        size /= 10
        for step in reversed(_STEPS):
            if most / (step * size) >= 3:
                return step * size


def _text(x: float, y: float, text: str, classes: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{escape(text)}</text>'


def _line(x1: float, x2: float, y: float, classes: str) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="{classes}"/>'
