"""Reads a journal while it grows."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Optional, Tuple

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class JournalReader:
    """The lines of a journal from byte `offset` on. Where another file was put in its place, or it was cut, they come
    again from there: whoever reads knows by their numbers which are new. For one thread; a context manager."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """Raises OSError."""
        self._path = str(path)
        self._offset = offset
        self._file = self._opened()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    @property
    def at(self) -> int:
        """The byte behind what was read."""
        return self._file.tell()

    def next(self) -> Optional[Tuple[int, bytes]]:
        """The next whole line, and the journal's byte behind it; None while there is none."""
        found = whole_line(self._file)
        if found is None and self._is_another(self._file.tell()):
            with suppress(OSError):
                opened = self._opened()
                self._file.close()
                self._file = opened
                return whole_line(opened)
        return found

    def _opened(self) -> BinaryIO:
        file = open(os.open(self._path, _FLAGS), "rb")  # noqa: SIM115 - closed by whoever has the reader
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError("%s is no file" % self._path)
        file.seek(self._offset)
        return file

    def _is_another(self, at: int) -> bool:
        try:
            now = os.lstat(self._path)
        except OSError:
            return False
        return now.st_ino != os.fstat(self._file.fileno()).st_ino or now.st_size < at


def whole_line(file: BinaryIO) -> Optional[Tuple[int, bytes]]:
    """The next line and the byte behind it; None where there is none, or one that is still being written."""
    at = file.tell()
    line = file.readline()
    if line.endswith(b"\n"):
        return file.tell(), line
    file.seek(at)
    return None
