"""The table of docs/messages.md: each reason code with title, messages, hints, and whether a retry helps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from app.protocol.reason import About, Reason
from app.protocol.reasons import REASONS
from tools.reason_codes import PLACE, Use, uses

TITLES = ("code", "title", "message", "hint", "retry helps?")
HEADINGS = {
    About.NODE: "About a node pack",
    About.RUN: "About a run",
    About.WARNING: "Warnings",
    About.WAITING: "Waits",
    About.QUESTION: "Questions of a workflow",
    About.REQUEST: "About a request",
}


def messages(markdown: Callable[[Sequence[str], Iterable[Sequence[str]]], str]) -> str:
    """A heading and a table for what the codes are about, the codes in alphabetical order."""
    found: dict[str, list[Use]] = {}
    for use in uses():
        found.setdefault(use.code, []).append(use)
    parts = []
    for about, heading in HEADINGS.items():
        reasons = sorted((each for each in REASONS.values() if each.about is about), key=lambda each: each.code)
        rows = [_row(reason, found.get(reason.code, [])) for reason in reasons]
        parts.append(f"## {heading}\n\n{markdown(TITLES, rows)}\n")
    return "\n".join(parts)


def _row(reason: Reason, places: list[Use]) -> tuple[str, ...]:
    messages = _cell(use.message for use in places)
    hints = _cell([*(use.hint for use in places), reason.hint])
    return f"`{reason.code}`", reason.title, messages, hints, reason.retry.value


def _cell(texts: Iterable[str]) -> str:
    """The different texts, a line each. What is only known in the end is `…`; a text without words is left out."""
    plain = [re.sub(r"\{\w+\}", PLACE, text).replace("\n", " ").strip() for text in texts]
    return "<br>".join(text for text in dict.fromkeys(plain) if text.strip(f"{PLACE}/ "))
