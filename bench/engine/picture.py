"""The bench's picture, an SVG without anything else: readable in light and dark, its text is text.

Above, all ways on one scale; below, Nodeferry and the floor closer, with what was worked on when. Bars are those of the
measurement in the middle, figures are medians.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape

from bench.engine.figures import WAYS, WORDS, Ratio, medians, ratios, typical
from bench.engine.results import Finding, Key, Measured, Span
from bench.picture_style import COMMON

KINDS = ("connect", "clones", "resolve", "install", "builds", "scripts", "verify")
_WIDE, _LEFT, _RIGHT = 900, 190, 110
_BAR, _ROW, _THIN = 18, 28, 13
_STEPS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_STYLE = (
    COMMON
    + """\
.first { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 4 3 }
.all { stroke: #1f2328; stroke-width: 1.5 }
.connect { fill: #8c959f }
.clones { fill: #3b82c4 }
.resolve { fill: #d29922 }
.install { fill: #2f8f5b }
.builds { fill: #8a5cc7 }
.scripts { fill: #b5651d }
.verify { fill: #d4709b }
.missed { fill: #b42318; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .dim { fill: #9198a1 }
  .back { fill: #0d1117 }
  .grid { stroke: #30363d }
  .first, .all { stroke: #e6edf3 }
  .connect { fill: #6e7681 }
  .clones { fill: #58a6ff }
  .resolve { fill: #e3b341 }
  .install { fill: #3fb950 }
  .builds { fill: #bc8cff }
  .scripts { fill: #db8b4b }
  .verify { fill: #f778ba }
  .missed { fill: #ff7b72 }
}
"""
)


class _Page:
    """What is drawn so far, from top to bottom."""

    def __init__(self) -> None:
        self.top = 14
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, classes: str = "") -> None:
        named = f' class="{classes}"' if classes else ""
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{named}>{escape(text)}</text>')

    def bar(self, corner: tuple[float, float], wide: float, high: float, kind: str, title: str) -> None:
        x, y = corner
        rect = f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0.6):.1f}" height="{high:g}" class="{kind}">'
        self._parts.append(f"{rect}<title>{escape(title)}</title></rect>")

    def line(self, x: float, y1: float, y2: float, kind: str) -> None:
        self._parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def svg(self, title: str) -> str:
        size = f'width="{_WIDE}" height="{self.top + 8}" viewBox="0 0 {_WIDE} {self.top + 8}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title)}</title>'
        back = '<rect width="100%" height="100%" class="back"/>'
        return "\n".join([head, f"<style>{_STYLE}</style>", back, *self._parts, "</svg>"]) + "\n"


def draw(found: Finding, packs: int, promises: Sequence[Ratio] | None = None) -> str:
    """The picture of what was measured. `promises`: the lines below, by default those of the small form."""
    page = _Page()
    runs = max(len(each) for each in found.values())
    title = f"{packs} node packs on a fresh instance, " + (f"medians of {runs}" if runs > 1 else "one measurement")
    page.text(16, page.top + 10, title, "head")
    page.top += 26
    _legend(page)
    for shape, caches, latency in dict.fromkeys((key.shape, key.caches, key.latency_ms) for key in found):
        words = f"{_shape(shape)}, latency {latency} ms, caches {caches}"
        _together(page, words, _group(found, Key(shape, caches, "", latency)))
    for shape, latency in dict.fromkeys((key.shape, key.latency_ms) for key in found):
        group = _group(found, Key(shape, "cold", "", latency))
        closer = {way: runs for way, runs in group.items() if way != "sequential"}
        if closer:
            _closer(page, f"{_shape(shape)}, latency {latency} ms, caches cold: what was worked on", closer)
    _promises(page, list(ratios(found)) if promises is None else promises)
    return page.svg(title)


def _shape(shape: str) -> str:
    return {"venv": "Virtual environment", "system-site": "Environment on top of the system's packages"}[shape]


def _group(found: Finding, of: Key) -> dict[str, Mapping[int, Measured]]:
    """Its ways."""
    return {way: found[key] for way in WAYS if (key := replace(of, way=way)) in found}


def _legend(page: _Page) -> None:
    x = 16.0
    for kind in KINDS:
        page.bar((x, page.top), 12, 12, kind, kind)
        page.text(x + 17, page.top + 10, kind, "dim")
        x += 36 + 7 * len(kind)
    for kind, words in (("first", "first lane installed"), ("all", "all installed")):
        page.line(x + 5, page.top - 1, page.top + 13, kind)
        page.text(x + 13, page.top + 10, words, "dim")
        x += 36 + 6.5 * len(words)
    page.top += 30


def _together(page: _Page, title: str, group: Mapping[str, Mapping[int, Measured]]) -> None:
    """All ways on one scale, a row each."""
    page.text(16, page.top + 10, title, "sub")
    page.top += 18
    scale = _Scale(max(_last(typical(runs)) for runs in group.values()))
    scale.grid(page, page.top, page.top + _ROW * len(group))
    for way, runs in group.items():
        run, own = typical(runs), medians(runs)
        page.text(_LEFT - 10, page.top + 15, WORDS[way], "end")
        for what, begin, end in _flat(run):
            page.bar((scale.x(begin), page.top + 2), scale.wide(begin, end), _BAR, what, _words(what, begin, end))
        if run.first_lane < run.everything - 0.05:
            page.line(scale.x(run.first_lane), page.top - 1, page.top + _BAR + 5, "first")
        page.line(scale.x(run.everything), page.top - 1, page.top + _BAR + 5, "all")
        page.text(scale.x(_last(run)) + 8, page.top + 15, f"{own.everything:.1f} s")
        page.top += _ROW
    page.top += 32


def _closer(page: _Page, title: str, group: Mapping[str, Mapping[int, Measured]]) -> None:
    """Each way with a row for each kind of work."""
    page.text(16, page.top + 10, title, "sub")
    page.top += 22
    rows = {way: [kind for kind in KINDS if any(kind == s[0] for s in typical(g).spans)] for way, g in group.items()}
    high = sum(len(kinds) * _THIN + 40 for kinds in rows.values())
    scale = _Scale(max(_last(typical(runs)) for runs in group.values()))
    scale.grid(page, page.top, page.top + high)
    for way, runs in group.items():
        _one_closer(page, scale, way, typical(runs), rows[way])
    page.top += 32


def _one_closer(page: _Page, scale: _Scale, way: str, run: Measured, kinds: Sequence[str]) -> None:
    top = page.top + 14
    bottom = top + len(kinds) * _THIN
    page.text(16, top + 9, WORDS[way].partition(":")[0])
    for row, kind in enumerate(kinds):
        page.text(_LEFT - 10, top + row * _THIN + 9.5, kind, "end dim")
        for what, begin, end in run.spans:
            if what == kind:
                words = _words(what, begin, end)
                page.bar((scale.x(begin), top + row * _THIN + 1), scale.wide(begin, end), _THIN - 3, kind, words)
    if run.first_lane < run.everything - 0.05:
        page.line(scale.x(run.first_lane), top - 3, bottom + 3, "first")
        page.text(scale.x(run.first_lane), top - 6, f"first lane {run.first_lane:.1f} s", "mid")
    page.line(scale.x(run.everything), top - 3, bottom + 3, "all")
    page.text(scale.x(run.everything), bottom + 15, f"all {run.everything:.1f} s", "mid")
    page.top = bottom + 26


def _promises(page: _Page, promises: Sequence[Ratio]) -> None:
    for promise in promises:
        page.text(16, page.top + 10, promise.line, "missed" if promise.met is False else "")
        page.top += 18


class _Scale:
    """Seconds to places."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._each = (_WIDE - _LEFT - _RIGHT) / longest

    def x(self, seconds: float) -> float:
        return _LEFT + seconds * self._each

    def wide(self, begin: float, end: float) -> float:
        return (end - begin) * self._each

    def grid(self, page: _Page, top: float, bottom: float) -> None:
        """A line each round number of seconds, with the number below."""
        step = next((step for step in _STEPS if self._longest / step <= 10), _STEPS[-1])
        for number in range(int(self._longest / step) + 1):
            page.line(self.x(number * step), top - 2, bottom, "grid")
            page.text(self.x(number * step), bottom + 13, f"{number * step:g} s", "mid dim")


def _flat(run: Measured) -> Iterator[Span]:
    """One row of a way: later work over earlier, what overlaps is cut off."""
    reached = 0.0
    for what, begin, end in sorted(
        run.spans, key=lambda span: (KINDS.index(span[0]) if len(run.spans) < 12 else 0, span[1])
    ):
        if end > reached:
            yield what, max(begin, reached), end
            reached = end


def _last(run: Measured) -> float:
    return max([run.everything, *(end for _, _, end in run.spans)])


def _words(what: str, begin: float, end: float) -> str:
    return f"{what}: {begin:.1f} to {end:.1f} s"
