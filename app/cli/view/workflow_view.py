"""A workflow as something rich can draw, or as lines: its steps, and the task list of the one that works. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from app.cli.view.live_view import STATUS_STYLES, cut
from app.protocol.amounts import clock
from app.protocol.terminal_text import one_line

State = Mapping[str, Any]
_MARKS = {"success": "✓", "partial": "!", "failed": "✗", "running": "▸", "blocked": "?", "stopped": "■"}
_STYLES = {**STATUS_STYLES, "partial": "yellow", "blocked": "bold yellow", "stopped": "yellow"}
_ORDER = ("running", "failed", "pending", "success")
_OWN_LINES = 3
"""A blank line, "and N more", and one free for the cursor."""


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """One moment of a workflow. `notice`: what the person should know besides (the service does not answer)."""

    state: State
    notice: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The steps, then the tasks of the newest one that has any: never higher than the terminal."""
        steps = self.state.get("steps") or []
        yield step_rows(steps)
        if self.notice:
            yield cut(self.notice, options.max_width, "bold yellow")
        lines = task_lines(steps)
        room = max(3, options.size.height - len(steps) - _OWN_LINES)
        order = {status: rank for rank, status in enumerate(_ORDER)}
        yield task_rows(sorted(lines, key=lambda line: order.get(line["status"], len(order)))[:room])
        if len(lines) > room:
            yield Text(f"and {len(lines) - room} more", style="dim")


def task_lines(steps: Sequence[State]) -> list[State]:
    """The live task list: of the last step that has one and was begun."""
    begun = [step["tasks"] for step in steps if step.get("tasks") and step.get("status") != "pending"]
    longest: list[State] = max(begun, key=len) if begun else []
    return longest


def changes(before: State | None, after: State) -> Iterator[str]:
    """What is new in `after`, a line each."""
    known = {line[0]: line for line in _all_lines(before or {})}
    for name, status, said in _all_lines(after):
        if known.get(name) != (name, status, said) and status != "pending":
            yield f"{one_line(name)}: {one_line(status)}{': ' + one_line(said) if said else ''}"


def _all_lines(state: State) -> Iterator[tuple[str, str, str]]:
    for step in state.get("steps") or []:
        yield step["label"], step["status"], str((step["error"] or {}).get("message") or step["message"] or "")
        for task in step["tasks"]:
            detail = str(task["detail"] or "") if task["status"] in ("failed", "success") else ""
            yield f"  {task['name']}", task["status"], detail


def step_rows(steps: Sequence[State]) -> Table:
    """A row a step: how it stands, how long it took, what it says."""
    grid = Table.grid(padding=(0, 2), expand=False)
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for step in steps:
        status = str(step["status"])
        seconds = "" if step["seconds"] is None else clock(step["seconds"])
        said = (step["error"] or {}).get("message") or step["message"]
        style = _STYLES.get(status, "dim")
        grid.add_row(
            Text(_MARKS.get(status, "·"), style=style),
            Text(one_line(step["label"]), style=style),
            seconds,
            Text(one_line(said)),
        )
    return grid


def task_rows(lines: Sequence[State]) -> Table:
    """A row a line of the live task list, its parts in parentheses."""
    grid = Table.grid(padding=(0, 2), expand=False)
    for _ in range(3):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    for line in lines:
        status = str(line["status"])
        parts = ", ".join(f"{part['name']} {part['status']}" for part in line["sub_tasks"])
        detail = str(line["detail"] or "")
        said = f"{detail} ({parts})" if detail and parts else detail or parts
        style = _STYLES.get(status, "dim")
        grid.add_row(
            Text(f"  {_MARKS.get(status, '·')} {one_line(line['name'])}", style=style),
            Text(status, style=style),
            Text(one_line(said)),
        )
    return grid
