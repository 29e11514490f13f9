"""Lines that a program draws again and again, as git and pip do with their progress: of each the first state and the
last are kept. A log would otherwise have one line of many thousand characters."""

from __future__ import annotations

import re

_TOKEN = re.compile(rb"\r*\n|\r+|[^\r\n]+")
_MOST_BYTES = 4096
"""Of a state that is kept; lines that are drawn once are never cut."""


class RedrawnLines:
    """One program's output, piece by piece. For one thread."""

    def __init__(self) -> None:
        self._carried = b""
        self._is_empty = True
        """Whether nothing of the line has been let through."""
        self._state: bytearray = bytearray()
        self._last = b""
        self._is_redrawn = False

    def feed(self, piece: bytes) -> bytes:
        """What of the next piece is for the log now."""
        data = self._carried + piece
        text = data.rstrip(b"\r")  # a line feed may follow
        self._carried = data[len(text) :]
        return b"".join(map(self._token, _TOKEN.findall(text)))

    def end(self) -> bytes:
        """What is left, when there is no next piece."""
        return self._kept()

    def _token(self, token: bytes) -> bytes:
        if token.endswith(b"\n"):
            return self._kept() + b"\n"
        if token.startswith(b"\r"):
            self._is_redrawn = True
            self._last = bytes(self._state) or self._last
            self._state.clear()
            return b""
        if self._is_redrawn:
            self._state += token[: _MOST_BYTES - len(self._state)]
            return b""
        self._is_empty = False
        return token

    def _kept(self) -> bytes:
        """The line's last state, behind the first; the next line begins."""
        state = bytes(self._state) or self._last
        kept = b"" if not state else state if self._is_empty else b"\n" + state
        self._state.clear()
        self._last, self._is_redrawn, self._is_empty = b"", False, True
        return kept
