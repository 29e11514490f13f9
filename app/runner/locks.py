"""Locks between processes: flock, which the kernel drops with the last process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Optional


def try_lock(path: Path) -> Optional[int]:
    """The descriptor of the lock, or None when somebody else holds it. Closing the descriptor gives it back."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock now."""
    fd = try_lock(path)
    if fd is None:
        return True
    os.close(fd)
    return False
