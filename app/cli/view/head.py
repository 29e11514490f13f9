"""The head of the live picture: how the run stands in one sentence, where, how far it is, and the sum. Pure.

Every line is whole: what does not fit is left out, or goes on in the next line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from app.cli.view.console import console_on
from app.cli.view.row_words import SILENT_SECONDS, fitting, standing_word
from app.protocol.amounts import clock, span
from app.protocol.terminal_text import one_line
from app.words import word

Progress = Mapping[str, Any]
LONGEST_BAR = 40
SHORTEST_BAR = 6
TONES = {"live": "bold", "good": "bold green", "warn": "bold yellow", "bad": "bold red", "idle": "bold"}
STANDING_STYLES = {
    "ready": "green",
    "problem": "yellow",
    "failed": "bold red",
    "working": "cyan",
    "waiting": "dim",
    "skipped": "yellow",
    "cancelled": "yellow",
    "left": "yellow",
}
_SEGMENTS = ("ready", "problem", "failed", "working", "waiting", "left")
"""As the pages' bar has them; `left` is what is skipped or was stopped."""
_FIGURES = re.compile(r"\d|;")
_NOT_REACHED = ("cut", "waiting_for_machine")
_WAIT_TEXTS = {
    "queued": "run.wait_queued_text",
    "connecting": "run.wait_connecting_text",
    "waiting_for_machine": "run.wait_machine_text",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The machine's short name, as the pages have it, and ComfyUI's folder there, once it is known."""

    machine: str
    folder: str = ""

    def __str__(self) -> str:
        machine, folder = one_line(self.machine), one_line(self.folder)
        return word("cli.place", machine=machine, folder=folder) if folder else machine


def sentence(progress: Progress) -> str:
    """How it stands, in the words of the pages; of a service that has none, its message."""
    return one_line((progress.get("summary") or {}).get("sentence") or progress.get("message"))


def kind_of(progress: Progress) -> str:
    """The kind of the sentence."""
    return str((progress.get("summary") or {}).get("kind") or "")


def sentence_lines(progress: Progress, width: int) -> list[Text]:
    """How it stands, on as many lines as that needs."""
    tone = str((progress.get("summary") or {}).get("tone") or "")
    return wrapped(sentence(progress), width, TONES.get(tone, "bold"))


def detail_lines(progress: Progress, notice: str, width: int) -> list[Text]:
    """What else is to be said: the service does not answer, why it waits, how far it is in this part."""
    if notice:
        return wrapped(notice, width, "bold yellow")
    found: list[Text] = []
    message = one_line(progress.get("message"))
    asked = [each for each in progress.get("questions") or [] if each.get("answer") is None]
    for question in asked[:1]:
        found += wrapped(question.get("text"), width, "yellow") + wrapped(word("run.waits_for_you"), width, "dim")
    if message and not asked and _adds(message, progress):
        found += wrapped(message, width, "dim")
    key = _WAIT_TEXTS.get(kind_of(progress))
    if key and progress.get("in_progress") and not progress.get("nodes"):
        found += wrapped(word(key), width, "dim")
    return found


def _adds(message: str, progress: Progress) -> bool:
    """Whether the message says more than the sentence: why it waits, how many of how many, what is built."""
    if message == sentence(progress):
        return False
    return kind_of(progress) not in ("working", "connecting", "stopping") or bool(_FIGURES.search(message))


def bar_line(progress: Progress, ahead: float, width: int) -> Text:
    """The bar, the percent, the time that has passed, and what is left: the figures whole, the bar as long as is
    free."""
    percent = max(0.0, min(100.0, float(progress.get("percent") or 0.0)))
    live = bool(progress.get("in_progress"))
    elapsed = clock(float(progress.get("elapsed_seconds") or 0.0) + (ahead if live else 0.0))
    figures = f"{int(percent):3d} %  {elapsed}"
    said, style = _left(progress, ahead) if live else ("", "")
    said = fitting([said], width - cell_len(figures) - 2)
    free = width - cell_len(figures) - (cell_len(said) + 2 if said else 0) - 1
    line = Text(no_wrap=True)
    if free >= SHORTEST_BAR:
        line.append_text(bar(percent / 100, min(free, LONGEST_BAR))).append(" ")
    line.append(figures)
    return line.append(f"  {said}", style=style) if said else line


def bar(part: float, width: int) -> Text:
    """A bar of which a part, 0 to 1, is done."""
    done = int(part * width)
    return Text("━" * done, style="green").append("─" * (width - done), style="dim")


def _left(progress: Progress, ahead: float) -> tuple[str, str]:
    if kind_of(progress) in _NOT_REACHED:
        return next_try(progress), "yellow"
    heard = progress.get("last_event_seconds_ago")
    silent = ahead if heard is None else float(heard) + ahead
    if silent > SILENT_SECONDS and not progress.get("questions"):
        return word("run.no_data", time=span(silent)), "yellow"
    eta = progress.get("eta_seconds")
    passed = 0.0 if progress.get("message_code") == "waiting_for_answer" else ahead
    return ("" if eta is None else word("run.left_about", time=span(max(1.0, float(eta) - passed)))), ""


def next_try(progress: Progress) -> str:
    """When a machine that is not reached is tried again."""
    try:
        due = datetime.fromisoformat(str(progress.get("next_attempt_at")))
        seconds = (due - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return ""
    if seconds <= 0:
        return word("run.trying")
    number = progress.get("attempt")
    return word("run.next_try_number" if number else "run.next_try", time=span(seconds), number=number)


def sum_lines(counts: Mapping[str, Any], width: int) -> list[Text]:
    """How many node packs stand where, in the words and the order of the pages' bar."""
    total = int(counts.get("total") or 0)
    if not total:
        return []
    return _joined(f"{word('common.packs', n=total)}: ", sums(counts), width)


def sums(counts: Mapping[str, Any]) -> list[Text]:
    """`21 Ready`, `1 Failed`: a text for each standing that some pack has; for `ready` always."""
    numbers = {name: int(counts.get(name) or 0) for name in _SEGMENTS}
    numbers["left"] = int(counts.get("skipped") or 0) + int(counts.get("cancelled") or 0)
    return [
        Text(f"{number} {word('run.left') if name == 'left' else standing_word(name)}", style=STANDING_STYLES[name])
        for name, number in numbers.items()
        if number or name == "ready"
    ]


def _joined(begin: str, parts: Sequence[Text], width: int) -> list[Text]:
    """The parts with dots between them, on further lines where they do not fit in one."""
    lines, line = [], Text(begin, no_wrap=True)
    for number, part in enumerate(parts):
        if number and line.cell_len + part.cell_len + 3 > width:
            lines.append(line)
            line = Text("  ", no_wrap=True)
        elif number:
            line.append(" · ", style="dim")
        line.append_text(part)
    return [*lines, line]


def wrapped(text: object, width: int, style: str = "") -> list[Text]:
    """A text on as many lines as it needs, broken at spaces."""
    whole = Text(one_line("" if text is None else str(text)), style=style)
    return list(whole.wrap(console_on(), max(1, width))) if whole else []
