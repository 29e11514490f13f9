"""Reading in bounds: a cut file, a length that lies and too many parts each end a reader in one way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from app.workflowfile.errors import TooMuch
from app.workflowfile.limits import MAX_PARTS, MAX_TEXT_BYTES

Text = tuple[str, bytes]
Texts = Iterator[Text]


class Cut(Exception):
    """The file ends before what it announced."""


class Source:
    """A file with a size, of which so many parts are read. Every seek goes forward or to a place inside the file.
    `was_cut`: something in it said that there is more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.was_cut = False
        self._parts = 0
        file.seek(0)

    @property
    def position(self) -> int:
        """Bytes from the start."""
        return self._file.tell()

    def seek(self, position: int) -> None:
        """Raises Cut for a place behind the end."""
        if not 0 <= position <= self.size:
            self.was_cut = True
            raise Cut
        self._file.seek(position)

    def skip(self, count: int) -> None:
        """Goes on behind the next `count` bytes. Raises Cut where the file has fewer."""
        self.seek(self.position + count)

    def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises Cut where the file has fewer, TooMuch for more than a text may have."""
        if count > MAX_TEXT_BYTES:
            raise TooMuch(f"The file announces a text of {count} bytes; at most {MAX_TEXT_BYTES} are read.")
        data = self._file.read(count)
        if len(data) < count:
            self.was_cut = self.was_cut or bool(data)
            raise Cut
        return data

    def head(self, count: int) -> bytes:
        """At most the next `count` bytes; the place stays."""
        data = self._file.read(count)
        self._file.seek(-len(data), os.SEEK_CUR)
        return data

    def count_part(self) -> None:
        """Counts one chunk, box, element or page. Raises TooMuch for absurdly many."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooMuch(f"The file has more than {MAX_PARTS} parts.")


NAMES = frozenset({"workflow", "prompt", "comment", "description", "parameters", "extra_pnginfo", "usercomment"})
"""Names under which graphs were seen, in lower case."""


def may_be_a_graph(name: str) -> bool:
    """Whether a text with this name is worth reading."""
    return name.lower() in NAMES
