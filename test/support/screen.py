"""What a terminal shows of the bytes that a program writes: lines, the cursor's moves, what is erased."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[(?P<arguments>[0-9;?]*)(?P<command>[A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|(?P<letter>[\s\S])")


class Screen:
    """A terminal of so many columns; lines that go out at the top are kept, as in its scrollback. `wrapped`: how many
    lines were wider than it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.wrapped = 0
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0

    def feed(self, text: str) -> Screen:
        """Show what was written."""
        for piece in _PIECE.finditer(text):
            if piece["command"]:
                self._command(piece["command"], piece["arguments"])
            elif piece["letter"]:
                self._letter(piece["letter"])
        return self

    @property
    def text(self) -> list[str]:
        """All lines from the first one that was written on, without spaces at their ends."""
        lines = ["".join(line).rstrip() for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _letter(self, letter: str) -> None:
        if letter == "\n":
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append([])
        elif letter == "\r":
            self._column = 0
        elif letter >= " ":
            if self._column >= self.columns:
                self.wrapped += 1
                self._column = 0
                self._letter("\n")
            line = self._lines[self._row]
            line.extend(" " * (self._column + 1 - len(line)))
            line[self._column] = letter
            self._column += 1

    def _command(self, command: str, arguments: str) -> None:
        number = int(arguments) if arguments.isdecimal() else 0
        if command == "A":  # what has gone out at the top cannot be reached any more
            self._row = max(self._row - max(1, number), len(self._lines) - self.rows, 0)
        elif command == "B":
            self._row = min(self._row + max(1, number), len(self._lines) - 1)
        elif command == "C":
            self._column = min(self._column + max(1, number), self.columns - 1)
        elif command == "K":
            line = self._lines[self._row]
            del line[0 if number == 2 else self._column :]
        elif command == "J" and number == 0:
            del self._lines[self._row + 1 :]
            del self._lines[self._row][self._column :]
