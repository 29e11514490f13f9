"""Reads files that somebody else has named: a key, a list of known hosts, settings, the list of a command line.

Only regular files of a fitting size are read. Nothing waits for a pipe, and no device is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from app.protocol import amounts

KEY_BYTES = 64 * 1024
"""Of a private key, a public key, a certificate."""
CONFIG_BYTES = 1024 * 1024
"""Of one file of ssh_config(5), and of the settings."""
KNOWN_HOSTS_BYTES = 4 * 1024 * 1024
KNOWN_BAD_BYTES = 256 * 1024
"""Of the service's own list of what is known to be malicious; it travels with each request to an instance."""
LIST_BYTES = 4 * 1024 * 1024
"""Of a list of node packs. A request has 1 MiB at most, and a file may be spread over more lines, or be UTF-16."""
_PIECE = 64 * 1024
_KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnusableFile(OSError):
    """A file that is not read: `strerror` says why, `filename` which one."""

    def __init__(self, reason: str, path: object) -> None:
        super().__init__(errno.EINVAL, reason, str(path))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def read_small(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. /dev/null is an empty one: ssh's users name it for none.

    Raises UnusableFile for anything else, FileNotFoundError, OSError.
    """
    found = os.stat(path)  # before it is opened: opening a device can already do something
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev:
        return b""
    _check(found, path, most)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(descriptor), path, most)  # another file may have come to its place
        return read_at_most(file, most, path)


def read_at_most(file: BinaryIO, most: int, name: object) -> bytes:
    """The rest of an open file, which may be a pipe. Raises UnusableFile where there is more than `most`, OSError."""
    content = bytearray()
    while piece := file.read(min(_PIECE, most + 1 - len(content))):
        content += piece
        if len(content) > most:
            raise _too_large(name, most)
    return bytes(content)


def _check(found: os.stat_result, path: Path, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnusableFile(f"{_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file", path)
    if found.st_size > most:
        raise _too_large(path, most)


def _too_large(name: object, most: int) -> UnusableFile:
    return UnusableFile(f"larger than {amounts.size(most)}", name)
