"""A fleet in words: a line for all of it, a line for each machine that needs somebody, how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from app.cli.output import EXIT_INTERRUPTED, EXIT_PARTIAL
from app.cli.view.result import show_text, show_whole
from app.domain.run_summary import Kind
from app.protocol.terminal_text import one_line
from app.words import word

GOOD = (Kind.READY, Kind.PLANNED, Kind.RESTARTED, Kind.PROVEN, Kind.PUT_BACK)
_LISTED = 50
"""Of machines that need somebody, on a terminal."""
_BAR = 24


def counted(progress: Mapping[str, Any]) -> dict[str, int]:
    """How many machines are ready, wait, are stopped, need somebody, and how many there are."""
    kinds = progress.get("kinds") or {}
    total = sum(kinds.values())
    ready, waiting = sum(kinds.get(kind.value, 0) for kind in GOOD), kinds.get(Kind.QUEUED.value, 0)
    stopped, needing = kinds.get(Kind.STOPPED.value, 0), int(progress.get("needing") or 0)
    asking = kinds.get(Kind.QUESTION.value, 0)
    working = total - ready - waiting - stopped - (needing - asking) - asking
    return {
        "total": total,
        "ready": ready,
        "working": working,
        "waiting": waiting,
        "stopped": stopped,
        "needing": needing,
        "partial": kinds.get(Kind.PARTIAL.value, 0),
    }


def head_line(progress: Mapping[str, Any], width: int, clock: str) -> Text:
    """All of a fleet in one line of at most `width` columns: a bar, and what is ready, works, waits, needs somebody."""
    numbers = counted(progress)
    ended = numbers["ready"] + numbers["stopped"] + numbers["needing"]
    parts = [(word("cli.fleet_ready", n=f"{numbers['ready']:,}", total=f"{numbers['total']:,}"), "green")]
    parts += [
        (word(f"cli.fleet_{name}", n=f"{numbers[name]:,}"), style)
        for name, style in (("needing", "yellow"), ("working", ""), ("waiting", "dim"), ("stopped", "dim"))
        if numbers[name]
    ]
    parts.append((clock, "dim"))
    line = Text(no_wrap=True, overflow="ellipsis")
    if width >= _BAR + 50 and numbers["total"]:
        done = round(_BAR * ended / numbers["total"])
        line.append("━" * done, style="green").append("━" * (_BAR - done), style="dim").append("  ")
    for index, (text, style) in enumerate(parts):
        line.append(" · " if index else "", style="dim").append(text, style=style)
    line.truncate(width, overflow="ellipsis")
    return line


def machine_line(instance: Mapping[str, Any]) -> str:
    """One machine that needs somebody: its address, how it stands and why."""
    said = _said(instance)
    why = one_line((instance.get("error") or {}).get("message"))
    more = f": {why}" if why and why.rstrip(".") not in said else ""
    return f"{one_line(instance.get('ssh_connection'))}: {said}{more}"


def show_fleet_end(
    console: Console, progress: Mapping[str, Any], needing: Sequence[Mapping[str, Any]], retry: str
) -> None:
    """Print how a fleet stands or has ended: its sentence, then each machine that needs somebody, and what helps.
    `retry`: the command that tries those again."""
    show_text(console, fleet_sentence(progress), style="bold")
    most = _LISTED if console.is_terminal else len(needing)
    for said, its in _by_sentence(needing[:most]).items():
        show_text(console, word("cli.fleet_group", n=len(its), said=said), style="red", indent=2)
        for each in its:
            show_whole(console, _with_why(each, said), indent=4)
    if len(needing) > most:
        show_text(console, word("cli.fleet_more", n=len(needing) - most), indent=2)
    if needing and not progress.get("in_progress"):
        show_text(console, word("cli.fleet_retry"))
        show_whole(console, retry, indent=2)


def _by_sentence(instances: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """What many machines have in common is said once."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in instances:
        found.setdefault(_said(each), []).append(each)
    return found


def _said(instance: Mapping[str, Any]) -> str:
    return one_line((instance.get("summary") or {}).get("sentence")).rstrip(".")


def _with_why(instance: Mapping[str, Any], said: str) -> str:
    why = one_line((instance.get("error") or {}).get("message"))
    address = one_line(instance.get("ssh_connection"))
    return f"{address}: {why}" if why and why.rstrip(".") not in said else address


def fleet_sentence(progress: Mapping[str, Any]) -> str:
    """How it stands, in the sentence of the pages."""
    return f"{one_line((progress.get('summary') or {}).get('sentence')).rstrip('.')}."


def fleet_status(progress: Mapping[str, Any], *, require: str | None = None) -> int:
    """0 all machines are ready, 3 some (or some of the packs), 1 none, 130 all stopped, or it goes on."""
    numbers = counted(progress)
    if progress.get("in_progress") or (numbers["total"] and numbers["stopped"] == numbers["total"]):
        return EXIT_INTERRUPTED
    if numbers["ready"] == numbers["total"]:
        return 0
    if not numbers["ready"] and not numbers["partial"]:
        return 1
    return {"any": 0, "all": 1}.get(require or "", EXIT_PARTIAL)
