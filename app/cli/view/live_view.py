"""The live picture of an install: a progress answer of the API as something rich can draw.

Pure. Text of instances and packs is never read as markup, and its control characters are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.protocol.amounts import clock, rate, size
from app.protocol.task_list import CUSTOM_NODES
from app.protocol.terminal_text import one_line

Progress = Mapping[str, Any]

BUILD_LINES = 4
"""The most builds that have a line; the runner works on no more at a time."""
WIDE = 100
"""Columns from which sizes and rates have room."""
OWN_LINES = 5
"""Lines of the picture that are no packs: message, overall bar, steps, "and N more", and one free for the cursor."""
FEWEST_ROWS = 3

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
_ORDER = ("cloning", "installing", "failed", "cloned", "pending", "skipped", "cancelled", "installed", "verified")


@dataclass(frozen=True, slots=True)
class LiveView:
    """One moment of an install. `ahead`: seconds since the progress was answered, so that the clock goes on between
    polls; `notice`: what the person should know besides (the service does not answer)."""

    progress: Progress
    ahead: float = 0.0
    notice: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Message, overall bar, task list, packs: never higher than the terminal."""
        height = options.size.height
        width = options.max_width
        style = "bold yellow" if self.notice else "bold"
        yield cut(self.notice or str(self.progress.get("message") or ""), width, style)
        yield overall(self.progress, self.ahead)
        yield task_list(self.progress)
        free = max(0, height - OWN_LINES - FEWEST_ROWS)
        building = running_builds(self.progress, self.ahead)[: min(BUILD_LINES, free)]
        for text in building:
            yield cut(text, width, "cyan")
        visible, hidden = bounded(self.progress.get("nodes") or [], height - OWN_LINES - len(building))
        if visible:
            yield pack_rows(visible, width)
        if hidden:
            yield Text(f"and {hidden} more", style="dim")


def bounded(nodes: Sequence[Progress], room: int) -> tuple[list[Progress], int]:
    """The packs to show in `room` lines, the ones at work first, and how many are left out."""

    def rank(node: Progress) -> int:
        if "running" in (node.get("requirements_status"), node.get("script_status")):
            return 0
        state = node.get("state")
        return _ORDER.index(state) if state in _ORDER else len(_ORDER)

    ordered = sorted(nodes, key=rank)
    visible = ordered[: max(FEWEST_ROWS, room)]
    return visible, len(ordered) - len(visible)


def overall(progress: Progress, ahead: float) -> Table:
    """The bar, the times and the counts of the whole install."""
    percent = float(progress.get("percent") or 0.0)
    eta = progress.get("eta_seconds")
    grid = Table.grid(padding=(0, 2), expand=False)
    for _ in range(5):
        grid.add_column(no_wrap=True)
    live = bool(progress.get("in_progress"))
    elapsed = float(progress.get("elapsed_seconds") or 0.0) + (ahead if live else 0.0)
    passed = 0.0 if progress.get("message_code") == "waiting_for_answer" else ahead
    left = f"ETA {clock(eta - passed)}" if live and eta is not None and eta > passed else ""
    bar = ProgressBar(total=100, completed=percent, width=24)
    grid.add_row(bar, f"{percent:5.1f} %", clock(elapsed), left, count_words(progress))
    return grid


def count_words(progress: Progress) -> Text:
    """How many packs are ready, and how many are not and why; empty before the list of packs is known."""
    words = next((step["detail"] for step in progress.get("steps") or [] if step["name"] == CUSTOM_NODES), None) or ""
    ready, comma, others = words.partition(", ")
    failed = (progress.get("counts") or {}).get("failed")
    return Text(ready, style="green").append(comma + others, style="bold red" if failed else "yellow")


def running_builds(progress: Progress, ahead: float) -> list[str]:
    """A line for each package that is being built from source; `ahead`: seconds since the progress was answered."""
    running = [build for build in progress.get("builds") or [] if build.get("state") == "running"]
    return [build_line(build, ahead) for build in running]


def build_line(build: Progress, ahead: float = 0.0) -> str:
    """`building foo 1.2 for 3 packs, 04:10, [12/80] foo.cpp`."""
    packs = len(build.get("packs") or [])
    text = f"building {build_name(build)} for {packs} pack{'' if packs == 1 else 's'}"
    seconds = build.get("seconds")
    parts = [text, "" if seconds is None else clock(float(seconds) + ahead), one_line(build.get("detail"))]
    if build.get("skip_requested"):
        parts.append("is being skipped")
    return ", ".join(filter(None, parts))


def build_name(build: Progress) -> str:
    """The package and its version."""
    return " ".join(filter(None, (one_line(build.get("package")), one_line(build.get("version")))))


def task_list(progress: Progress) -> Text:
    """The steps and how each stands, in one line."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for step in progress.get("steps") or []:
        status = str(step.get("status"))
        line.append(one_line(step.get("name")), style="dim" if status == "pending" else "")
        line.append(f" {status}   ", style=STATUS_STYLES.get(status, "dim"))
    return line


def pack_rows(nodes: Sequence[Progress], width: int) -> Table:
    """A row a pack: its clone, its state, what is done for it."""
    wide = width >= WIDE
    grid = Table.grid(padding=(0, 2), expand=False)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(12, min(40, width // 3)))
    grid.add_column(no_wrap=True)
    for _ in range(3 if wide else 1):
        grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for node in nodes:
        percent = int(node.get("clone_progress") or 0)
        bar = ProgressBar(total=100, completed=percent, width=16 if wide else 10)
        numbers = [f"{percent} %"]
        if wide:
            received = node.get("bytes_received")
            numbers += ["" if received is None else size(received), rate(node.get("bytes_per_second"))]
        grid.add_row(Text(one_line(node.get("name"))), bar, *map(Text, numbers), state_of(node), doing(node))
    return grid


def state_of(node: Progress) -> Text:
    """The pack's state in its colour; a kept one says so."""
    state = one_line(node.get("state"))
    return Text(f"{state} (kept)" if node.get("kept") else state, style=STATE_STYLES.get(state, "dim"))


def doing(node: Progress) -> Text:
    """What becomes of the pack's requirements and its install.py, or why it failed."""
    error = node.get("error")
    if error and node.get("state") == "failed":
        return Text(one_line(error.get("code")), style="red")
    parts = Text()
    for name, key in (("requirements", "requirements_status"), ("install.py", "script_status")):
        status = str(node.get(key) or "none")
        if status != "none":
            word = "ok" if status == "success" else status
            parts.append(f"{name} ", style="dim").append(f"{word}  ", style=STATUS_STYLES.get(status, "dim"))
    return parts


def cut(text: str, width: int, style: str = "") -> Text:
    """One line of at most `width` columns."""
    line = Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")
    line.truncate(max(1, width), overflow="ellipsis")
    return line
