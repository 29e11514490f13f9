"""Reads and replaces a run's files without loading the journal's writer, so that short commands start fast."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replaces the file atomically: a reader sees the old or the new content. Never follows a link."""
    temporary = path.with_name("%s.%d.tmp" % (path.name, os.getpid()))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(str(temporary), flags, 0o644)
    except FileExistsError:  # left by a killed runner of the same pid
        os.unlink(str(temporary))
        fd = os.open(str(temporary), flags, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.replace(str(temporary), str(path))
    except OSError:
        os.unlink(str(temporary))
        raise


def has_ended(path: Path) -> bool:
    """Whether the journal's last whole line is its terminal event."""
    try:
        with open(str(path), "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return False
    from app.protocol.events import (  # takes long, and most looks are at a run that lives
        RunEnded,
        decode,
    )
    from app.protocol.json_fields import ProtocolFault

    try:
        return bool(lines) and isinstance(decode(lines[-1]).body, RunEnded)
    except ProtocolFault:
        return False


def size(path: Path) -> int:
    """The journal's length in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
