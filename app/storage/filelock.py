"""A lock between processes, held on a file."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.storage.errors import StorageError

_STEP_SECONDS = 0.02


@contextmanager
def file_lock(path: Path, timeout: float) -> Iterator[None]:
    """Hold the exclusive lock on `path` (made when missing, and left there) for the block.

    It is the kernel's, so that it is free again when its holder was killed. Raises StorageError (`database_locked`)
    when another process holds it for more than `timeout` seconds, and when the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StorageError(f"{path} cannot be created: {exc.strerror}.", code="database_unavailable") from exc
    try:
        _acquire(descriptor, path, time.monotonic() + timeout)
        yield
    finally:
        os.close(descriptor)  # which frees the lock


def _acquire(descriptor: int, path: Path, deadline: float) -> None:
    pause = threading.Event()  # never set: the holder is another process; flock itself knows no deadline
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() >= deadline:
                hint = "End the other Nodeferry that is just opening it, and try again."
                raise StorageError(f"{path} is in use by another program.", hint=hint, code="database_locked") from exc
            pause.wait(_STEP_SECONDS)
        else:
            return
