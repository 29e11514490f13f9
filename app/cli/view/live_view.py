"""The live picture of an install: a progress answer of the API as something rich can draw, a line a pack.

Pure. Text of instances and packs is never read as markup, and its control characters are dropped. A narrow terminal has
fewer columns, not cut ones: only names of packs are shortened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from app.cli.view import head
from app.cli.view.head import STANDING_STYLES, Place
from app.cli.view.row_words import fitting, forms, standing_of, standing_word
from app.protocol.amounts import clock, size, span
from app.protocol.terminal_text import one_line
from app.words import word

Progress = Mapping[str, Any]

BUILD_LINES = 4
"""The most builds that have a line; the runner works on no more at a time."""
WIDE = 100
"""Columns from which size and time have room."""
FEWEST_ROWS = 3
LONGEST_NAME = 40
SHORTEST_NAME = 12
ROOM_FOR_WORDS = 18
"""What the words of a row get before its name gets more: `downloading 100 %` fits."""
MOST_ROOM_FOR_WORDS = 72
"""Where columns stand behind them: these stay in sight of the names."""
_GAP = "  "

STATE_STYLES = {
    "cloning": "cyan",
    "cloned": "cyan",
    "installing": "cyan",
    "installed": "green",
    "verified": "green",
    "failed": "bold red",
    "skipped": "yellow",
    "cancelled": "yellow",
}
STATUS_STYLES = {"success": "green", "running": "cyan", "failed": "bold red", "skipped": "yellow"}
_FIRST = ("failed", "problem", "working", "waiting")
"""Which packs are seen where not all have a line, after those that something is done for right now."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """One moment of an install. `ahead`: seconds since the progress was answered, so that the clock goes on between
    polls; `notice`: what the person should know besides (the service does not answer); `above`: a line on the steps of
    a workflow."""

    progress: Progress
    ahead: float = 0.0
    notice: str = ""
    place: Place | None = None
    above: Text | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Head, builds, packs: never higher than the terminal, never wider."""
        width, most = max(1, options.max_width), max(1, options.size.height - 1)
        nodes = self.progress.get("nodes") or []
        kept = min(len(nodes), FEWEST_ROWS) + 1 if nodes else 0
        lines = self._head(width, most - kept)
        building = running_builds(self.progress)[: min(BUILD_LINES, max(0, most - len(lines) - kept))]
        lines += [Text(fitting(build_forms(build, self.ahead), width), style="cyan") for build in building]
        if most - len(lines) > len(nodes) > 0:
            lines.append(Text())
        lines += self._rows(nodes, width, most - len(lines))
        for line in lines[:most]:
            line.truncate(width, overflow="ellipsis")
            yield line

    def _head(self, width: int, room: int) -> list[Text]:
        """The sentence and the bar always; the rest in the order of its worth, as long as it has room."""
        progress, notice = self.progress, self.notice
        parts = {
            "above": [self.above.copy()] if self.above else [],
            "sentence": head.sentence_lines(progress, width),
            "place": head.wrapped(self.place, width, "dim"),
            "bar": [head.bar_line(progress, self.ahead, width)],
            "sum": head.sum_lines(progress.get("counts") or {}, width),
            "detail": head.detail_lines(progress, notice, width),
        }
        for name in ("sentence", "bar", *(["detail"] if notice else []), "sum", "place", "above", "detail"):
            room -= len(parts[name])
            if room < 0 and name not in ("sentence", "bar"):
                parts[name] = []
        return [line for lines in parts.values() for line in lines]

    def _rows(self, nodes: Sequence[Progress], width: int, room: int) -> list[Text]:
        visible, hidden = bounded(nodes, max(1, room))
        found = pack_rows(self.progress, visible, width, self.ahead)
        return found + ([more_line(hidden, width)] if hidden else [])


def bounded(nodes: Sequence[Progress], room: int) -> tuple[list[Progress], list[Progress]]:
    """The packs that are seen in `room` lines, of which one says how many are not, and these others. The order is the
    list's own and never changes; what is done right now and what has failed is seen first."""
    if len(nodes) <= room:
        return list(nodes), []

    def rank(index: int) -> tuple[int, int]:
        node = nodes[index]
        if node.get("state") == "cloning" or node.get("script_status") == "running":
            return 0, index
        standing = standing_of(node)
        return (1 + _FIRST.index(standing) if standing in _FIRST else 9), index

    chosen = sorted(sorted(range(len(nodes)), key=rank)[: max(1, room - 1)])
    hidden = sorted(set(range(len(nodes))) - set(chosen))
    return [nodes[index] for index in chosen], [nodes[index] for index in hidden]


def more_line(hidden: Sequence[Progress], width: int) -> Text:
    """How many packs have no line, and how they stand."""
    standings = [standing_of(node) for node in hidden]
    counts = {name: standings.count(name) for name in dict.fromkeys(standings)}
    what = " · ".join(text.plain for text in head.sums({"ready": 0, **counts}) if not text.plain.startswith("0 "))
    texts = [word("cli.more", n=len(hidden), what=what), word("cli.more_short", n=len(hidden))]
    return Text(fitting(texts, width) or texts[-1], style="dim", no_wrap=True)


def pack_rows(progress: Progress, nodes: Sequence[Progress], width: int, ahead: float = 0.0) -> list[Text]:
    """A row a pack: how it stands, what is done for it or wrong with it; size and time where there is room."""
    every = progress.get("nodes") or nodes
    words = {standing: standing_word(standing) for standing in set(map(standing_of, every))}
    standing_width = max(map(cell_len, words.values()), default=0)
    figures = _figures(every) if width >= WIDE else {}
    rest = width - standing_width - 2 * len(_GAP) - sum(len(_GAP) + column for column in figures.values())
    longest = max((cell_len(_label(node)) for node in every), default=0)
    name_width = max(SHORTEST_NAME, min(longest, LONGEST_NAME, rest - ROOM_FOR_WORDS))
    room = max(0, min(rest - name_width, MOST_ROOM_FOR_WORDS if figures else rest))
    builds = {pack: each for each in running_builds(progress) for pack in each["packs"]}
    rows = []
    for node in nodes:
        standing = standing_of(node)
        said = fitting(forms(node, silence_of(progress, node, ahead), builds.get(str(node.get("name")))), room)
        row = Text(_name(node, name_width) + _GAP, no_wrap=True)
        row.append(set_cell_size(words[standing], standing_width), style=STANDING_STYLES[standing])
        row.append(_GAP + (set_cell_size(said, room) if figures else said), style=_SAID_STYLES.get(standing, ""))
        for column, digits in figures.items():
            row.append(_GAP + _FIGURES[column](node).rjust(digits), style="dim")
        row.rstrip()
        rows.append(row)
    return rows


def silence_of(progress: Progress, node: Progress, ahead: float) -> float | None:
    """For how many seconds nothing was heard of a pack; None while its machine's line is cut."""
    if progress.get("state") == "interrupted":
        return None
    now, heard = progress.get("run_seconds"), node.get("heard_at")
    return ahead if now is None or heard is None else max(0.0, float(now) - float(heard)) + ahead


def _name(node: Progress, width: int) -> str:
    name = _label(node)
    if cell_len(name) > width:
        name = one_line(node.get("name"))
    return set_cell_size(name, width) if cell_len(name) <= width else set_cell_size(name, width - 1) + "…"


def _label(node: Progress) -> str:
    """The name; of a pack of the registry with its version, where that has room."""
    return " ".join(filter(None, (one_line(node.get("name")), one_line(node.get("version") or ""))))


def _size(node: Progress) -> str:
    received = node.get("bytes_received")
    return size(received) if received else ""


def _time(node: Progress) -> str:
    seconds = node.get("seconds")
    return "" if seconds is None or standing_of(node) == "waiting" else span(seconds)


_FIGURES = {"size": _size, "time": _time}
_SAID_STYLES = {"failed": "red", "problem": "yellow", "ready": "dim", "waiting": "dim", "skipped": "dim"}


def _figures(nodes: Sequence[Progress]) -> dict[str, int]:
    """The columns of figures, each as wide as its longest."""
    widths = {name: max((len(text(node)) for node in nodes), default=0) for name, text in _FIGURES.items()}
    return {name: width for name, width in widths.items() if width}


def running_builds(progress: Progress) -> list[Progress]:
    """The packages that are being built from source now."""
    return [build for build in progress.get("builds") or [] if build.get("state") == "running"]


def build_forms(build: Progress, ahead: float = 0.0) -> list[str]:
    """`building foo 1.2 for 3 packs, 04:10, [12/80] foo.cpp`, and shorter. `ahead`: seconds since that was answered."""
    packs = len(build.get("packs") or [])
    what = f"building {build_name(build)}"
    seconds = build.get("seconds")
    time = "" if seconds is None else clock(float(seconds) + ahead)
    ending = "is being skipped" if build.get("skip_requested") else ""
    whole = [f"{what} for {packs} pack{'' if packs == 1 else 's'}", time, one_line(build.get("detail")), ending]
    forms_of = [whole, [whole[0], time, ending], [what, time], [what]]
    return [", ".join(filter(None, parts)) for parts in forms_of]


def build_name(build: Progress) -> str:
    """The package and its version."""
    return " ".join(filter(None, (one_line(build.get("package")), one_line(build.get("version")))))


def state_of(node: Progress) -> Text:
    """The pack's state in its colour; a kept one says so."""
    state = one_line(node.get("state"))
    return Text(f"{state} (kept)" if node.get("kept") else state, style=STATE_STYLES.get(state, "dim"))
