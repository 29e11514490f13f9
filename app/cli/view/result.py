"""How an install ended: the table of all packs, the notes, and one sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from app.cli.errors import EXIT_INTERRUPTED
from app.cli.output import EXIT_PARTIAL
from app.cli.program import program
from app.cli.view.head import STANDING_STYLES
from app.cli.view.live_view import STATUS_STYLES, state_of
from app.protocol import repairs
from app.protocol.counts import AS_ASKED
from app.protocol.terminal_text import one_line
from app.words import word

COMMIT_CHARS = 10
EXIT_NONE_OR_FAILED = 1


def show_result(console: Console, progress: Mapping[str, Any], *, last: str = "") -> None:
    """Print the whole end of an install, from its last progress. `last`: how the run ended that it is a part of, in
    place of its own sentence."""
    _show_packs(console, progress.get("nodes") or [])
    for warning in progress.get("warnings") or []:
        show_text(console, f"Note: {one_line(warning.get('message'))}", style="yellow")
    repair = progress.get("repair") or {}
    for text in repairs.in_words(repair):
        show_text(console, one_line(text), style="cyan")
    if repair.get("state") == repairs.RepairState.FOUND.value:
        show_text(console, f"To apply it: {program()} tasks repair {one_line(progress.get('task_id'))}", style="cyan")
    show_text(console, last or sentence(progress), style="bold")


def _show_packs(console: Console, nodes: Sequence[Mapping[str, Any]]) -> None:
    for line in pack_table(nodes, console.width if console.is_terminal else None) if nodes else ():
        console.print(line, soft_wrap=True)
    for node in nodes:
        error = node.get("error") or {}
        if error and error.get("code") not in AS_ASKED:
            show_text(console, f"{one_line(node.get('name'))}: {one_line(error.get('code'))}", style="red")
            for text in filter(None, (one_line(error.get("message")), one_line(error.get("hint")))):
                show_text(console, text, indent=4)


def show_text(console: Console, text: str, *, style: str = "", indent: int = 0) -> None:
    """Print a sentence: wrapped at words on a terminal, in one line where a program may read it."""
    if console.is_terminal:
        console.print(Padding(Text(text, style=style), (0, 0, 0, indent), expand=False))
    else:
        console.print(Text(" " * indent + text), soft_wrap=True)


def show_whole(console: Console, text: str, *, indent: int = 0) -> None:
    """Print an address or a command in one piece, however narrow the terminal is: so it can be copied."""
    console.print(Text(" " * indent + text), soft_wrap=True)


def sentence(progress: Mapping[str, Any]) -> str:
    """How it ended, in one sentence that the pages show too, and what to do where that is known."""
    error = progress.get("error") or {}
    said = one_line((progress.get("summary") or {}).get("sentence")).rstrip(".")
    if said:
        return f"{said}. {one_line(error.get('hint'))}".rstrip()
    # the runner by itself, and older services, have none
    text = one_line(progress.get("message")).rstrip(".")
    outcome = {"partial": "Partly installed: ", "none": "Nothing installed: ", "all": "Installed: "}
    head = outcome.get(str(progress.get("outcome")), {"failed": "Failed: "}.get(str(progress.get("state")), ""))
    hint = one_line(error.get("hint"))
    return f"{head}{text}. {hint}".rstrip()


def exit_status(progress: Mapping[str, Any], *, require: str | None = None) -> int:
    """0 all, 3 partial, 1 none or failed, 130 cancelled; 130 also for one that is still going on (only watched). Where
    somebody said what is required (`all`, `any`), partial is a failure or a success."""
    if progress.get("in_progress"):
        return EXIT_INTERRUPTED
    code = progress.get("return_code")
    if code == EXIT_PARTIAL and require:
        return 0 if require == "any" else EXIT_NONE_OR_FAILED
    return code if isinstance(code, int) else EXIT_NONE_OR_FAILED


def standing_of(node: Mapping[str, Any]) -> Text:
    """How a pack stands, in the words of the pages."""
    standing = node.get("standing")
    if standing not in STANDING_STYLES:
        return state_of(node)
    return Text(word(f"common.standing_{standing}"), style=STANDING_STYLES[standing])


def pack_table(nodes: Sequence[Mapping[str, Any]], width: int | None = None) -> list[Text]:
    """A line a pack: where it ended, at which commit, after how long. Of `width` columns (None: as many as it needs),
    with as many of the cells as fit whole; the names and how they ended are always there."""
    rows = [_HEAD, *({name: cell(node) for name, cell in _CELLS.items()} for node in nodes)]
    widths = {name: max(row[name].cell_len for row in rows) for name in _CELLS}
    chosen = list(_CELLS)
    for name in _DROPPED_FIRST:
        if width is not None and sum(widths[each] + 2 for each in chosen) - 2 > width:
            chosen.remove(name)
    lines = []
    for row in rows:
        line = Text()
        for name in chosen:
            free = " " * (widths[name] - row[name].cell_len)
            line.append("  " if line else "")
            line.append_text(Text(free) + row[name] if name == "seconds" else row[name] + Text(free))
        line.rstrip()
        lines.append(line)
    return lines


def _requirements(node: Mapping[str, Any]) -> Text:
    status = str(node.get("requirements_status") or "none")
    return Text(status, style=STATUS_STYLES.get(status, "dim"))


def _seconds(node: Mapping[str, Any]) -> Text:
    seconds = node.get("seconds")
    return Text("-" if seconds is None else f"{seconds:.1f}")


_CELLS: Mapping[str, Callable[[Mapping[str, Any]], Text]] = {
    "pack": lambda node: Text(one_line(node.get("name"))),
    "state": standing_of,
    "commit": lambda node: Text(str(node.get("commit") or node.get("version") or "-")[:COMMIT_CHARS]),
    "requirements": _requirements,
    "seconds": _seconds,
}
_HEAD = {name: Text(name, style="dim") for name in _CELLS}
_DROPPED_FIRST = ("requirements", "commit", "seconds")
