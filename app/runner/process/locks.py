"""Locks between processes: flock, which the kernel drops with the last process that holds it."""

from __future__ import annotations

import fcntl
import os
import select
from pathlib import Path
from typing import Optional

_LOOKS = 10
_LOOK_SECONDS = 0.02


def try_lock(path: Path) -> Optional[int]:
    """The descriptor of the lock, or None when somebody else holds it. Closing the descriptor gives it back."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _flock(path, fcntl.LOCK_EX)


def lock_now(path: Path) -> Optional[int]:
    """As `try_lock`, and not put off by those who only look (`is_locked` holds a lock for an instant)."""
    for _ in range(_LOOKS):
        fd = try_lock(path)
        if fd is not None:
            return fd
        select.select([], [], [], _LOOK_SECONDS)
    return None


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock now. Any number may look at the same time: a shared lock does not meet others."""
    fd = _flock(path, fcntl.LOCK_SH)
    if fd is None:
        return True
    os.close(fd)
    return False


def _flock(path: Path, kind: int) -> Optional[int]:
    fd = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
