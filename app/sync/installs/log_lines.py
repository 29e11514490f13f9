"""Lines of logs as people read them: found by number, searched for a text, and which of them decided a failure.

A line ends with a line feed. A program that draws its line again, by a carriage return, has said what it drew last.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.protocol.deciding_line import deciding_line, says_why
from app.protocol.redaction import masked_by_line
from app.protocol.terminal_text import without_sequences

SEARCH_SECONDS = 10.0
"""How long one search may take."""
MAX_LINE_CHARS = 300
"""What is told of a line that was found."""
_BEFORE_CHARS = 80
"""And of it, so much before the text that was looked for."""
_FEWEST_CHARS = 12
"""Shorter lines are quoted by chance."""
_QUOTED_CHARS = 100
_FALL_BACK_LINES = 600
_MOST_LINES = 50_000
"""Of a log that has more, the last ones are looked through."""


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A line that has the text, by its number; 1 is the first."""

    line: int
    text: str


def line_and_lines(blocks: Iterable[bytes], offset: int) -> tuple[int, int]:
    """The number of the line that byte `offset` is in, and how many lines there are; the last may not have ended."""
    line, ends, ended = 1, 0, True
    for block in blocks:
        line += block.count(b"\n", 0, max(0, offset))
        offset -= len(block)
        ends += block.count(b"\n")
        ended = block.endswith(b"\n")
    return line, ends + (not ended)


def start_of(blocks: Iterable[bytes], line: int) -> int:
    """Where a line begins; the log's size where it has not so many."""
    at, missing = 0, line - 1
    for block in blocks:
        if missing == 0:
            return at
        ends = block.count(b"\n")
        if ends >= missing:
            return at + _after(block, missing)
        missing -= ends
        at += len(block)
    return at


def _after(block: bytes, lines: int) -> int:
    end = -1
    for _ in range(lines):
        end = block.index(b"\n", end + 1)
    return end + 1


def found_lines(blocks: Iterable[bytes], text: str, deadline: float) -> Iterator[FoundLine | None]:
    """The lines that have `text`, in any case. None: the time is over (`deadline`, of `time.monotonic`).

    Secrets are masked before anything is searched: nobody finds out one by guessing, nor by how long that takes."""
    wanted = text.lower()
    number, last = 1, 0
    for block in blocks:
        if time.monotonic() > deadline:
            yield None
            return
        said = masked_by_line(without_sequences(block.decode("utf-8", "replace")))
        if wanted in said.lower():
            for index, line in enumerate(map(last_drawn, said.split("\n")), number):
                if index > last and wanted in line.lower():
                    last = index
                    yield FoundLine(index, _around(line, wanted))
        number += block.count(b"\n")


def last_drawn(line: str) -> str:
    """What a line says in the end, without colours."""
    return line.rstrip("\r").rpartition("\r")[2]


def deciding_number(text: str, message: str) -> int | None:
    """The number of the line that decided a failure whose reason is `message`: the one that it quotes, else the one by
    the rule that reasons are found with. None where no line has words."""
    before, lines = _plain_lines(text)
    return _counted(before, _quoted_by(message, lines) or _by_rule(lines))


def deciding_of_run(text: str, messages: Iterable[str], *, has_failed: bool) -> int | None:
    """The same in a log that is about many things: the line that one of these reasons quotes, the first reason first.
    By the rule only where the run itself `has_failed`, and only what has the words of a reason."""
    before, lines = _plain_lines(text)
    quoted = next(filter(None, (_quoted_by(message, lines) for message in messages)), None)
    return _counted(before, quoted if quoted or not has_failed else _by_rule(lines, only_sure=True))


def _counted(before: int, number: int | None) -> int | None:
    return None if number is None else before + number


def _plain_lines(text: str) -> tuple[int, list[str]]:
    before, last = _last_lines(without_sequences(text))
    return before, [" ".join(last_drawn(line).split()) for line in last]


def _quoted_by(message: str, lines: Sequence[str]) -> int | None:
    said = " ".join(message.split())
    quoted = [
        (min(len(line), _QUOTED_CHARS), number)
        for number, line in enumerate(lines, 1)
        if len(line) >= _FEWEST_CHARS and line[:_QUOTED_CHARS] in said
    ]
    return max(quoted)[1] if quoted else None


def _by_rule(lines: Sequence[str], *, only_sure: bool = False) -> int | None:
    found = " ".join(deciding_line("\n".join(lines[-_FALL_BACK_LINES:])).split())
    if only_sure and not says_why(found):
        return None
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        if found and (found in line or (len(line) >= _FEWEST_CHARS and found.startswith(line))):
            return number
    return None


def _last_lines(text: str) -> tuple[int, list[str]]:
    """How many lines stand before the last ones, and those."""
    rest, *last = text.rsplit("\n", _MOST_LINES)
    before = rest.count("\n")
    return (before + 1, last) if before else (0, [rest, *last])


def _around(line: str, wanted: str) -> str:
    if len(line) <= MAX_LINE_CHARS:
        return line
    begin = max(0, min(line.lower().find(wanted) - _BEFORE_CHARS, len(line) - MAX_LINE_CHARS))
    return ("…" if begin else "") + line[begin : begin + MAX_LINE_CHARS]
