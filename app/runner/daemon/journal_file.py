"""The journal's file: it has what the run wrote, and nothing else.

Packs' own code runs as the runner's user in most images, and could write into it. So before each line the file is
looked at. Where it is not as the last line left it, the run's own lines are put in its place: they are kept in memory.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zlib
from pathlib import Path
from typing import List, Optional, Tuple

from app.runner.daemon.run_files import replace_file
from app.runner.process.private_files import private

MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of lines, a tenth of that in memory. A longer journal is not put back: the service still knows what is the run's."""
_MOST_REPAIRS = 50
_COMPARE_SECONDS = 1.0
"""Some network volumes change a file's times later: its content is not compared at each line for that."""
_PIECE_BYTES = 1024 * 1024
_About = Optional[Tuple[int, int, int, int]]


class JournalFile:
    """For one thread."""

    def __init__(self, path: Path) -> None:
        """Makes it. Raises OSError."""
        self._path = path
        self._fd = private(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._kept: Optional[_Kept] = _Kept()
        self._hash = hashlib.blake2b()
        self._size = 0
        self._repairs = 0
        self._compared_at = float("-inf")
        self._unsure = False
        self._seen = self._about()

    def was_changed(self, *, at_end: bool = False) -> bool:
        """Whether anybody else has written into the file, cut it or put another in its place since the last line; what
        the run wrote is put back then. `at_end`: nobody will look again. Raises OSError."""
        now = self._about()
        self._unsure = self._unsure or now is None or now != self._seen
        if not self._unsure:
            return False
        if self._is_ours(now):
            if not at_end and time.monotonic() - self._compared_at < _COMPARE_SECONDS:
                return False  # its size is right, and the service looks at every line; a later line compares
            if self._is_intact():
                self._unsure, self._seen, self._compared_at = False, now, time.monotonic()
                return False
        self._unsure = False
        if self._repairs < _MOST_REPAIRS:
            self._put_back()
        return True

    def write(self, line: bytes) -> None:
        """Appends the whole line, or nothing of it. Raises OSError."""
        before = os.fstat(self._fd).st_size
        try:
            rest = line
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, before)
            raise
        self._size += len(line)
        self._hash.update(line)
        if self._kept is not None:
            self._kept.add(line)
            if self._size > MOST_KEPT_BYTES:
                self._kept = None
        now = self._about()
        self._seen = now if self._is_ours(now) else None

    def close(self) -> None:
        """Nothing more is written."""
        os.close(self._fd)

    def _about(self) -> _About:
        """What stands at the journal's path, as far as a change would show."""
        try:
            about = os.lstat(str(self._path))
        except OSError:
            return None
        return about.st_ino, about.st_size, about.st_ctime_ns, about.st_mode

    def _is_ours(self, about: _About) -> bool:
        """Whether that is our file, with as many bytes as we wrote."""
        ours = os.fstat(self._fd)
        return about is not None and (about[0], about[1]) == (ours.st_ino, self._size) and stat.S_ISREG(about[3])

    def _is_intact(self) -> bool:
        """Whether its content is what we wrote."""
        found, at = hashlib.blake2b(), 0
        while piece := os.pread(self._fd, _PIECE_BYTES, at):
            found.update(piece)
            at += len(piece)
        return found.digest() == self._hash.digest()

    def _put_back(self) -> None:
        self._repairs += 1
        if self._kept is None:
            return
        replace_file(self._path, self._kept.all())
        fd = private(str(self._path), os.O_RDWR | os.O_APPEND)
        os.close(self._fd)
        self._fd = fd
        self._seen = self._about()


class _Kept:
    """Bytes in memory, compressed."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(1)
        self._pieces: List[bytes] = []

    def add(self, content: bytes) -> None:
        """More of them."""
        packed = self._packer.compress(content)
        if packed:
            self._pieces.append(packed)

    def all(self) -> bytes:
        """All of them."""
        return zlib.decompress(b"".join(self._pieces) + self._packer.copy().flush())
