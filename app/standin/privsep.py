"""The empty folder that a root sshd wants for its unprivileged part.

The system's ssh service makes it when it starts; where that never ran, it is not there. It is shared by all sshds, so
the stand-ins count themselves by a lock, and the last one removes the folder if a stand-in had made it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from app.standin.processes import all_processes, command_line

PRIVSEP_FOLDER = Path("/run/sshd")
LOCK_FILE = Path("/run/nodeferry-standin.lock")
_MADE_HERE = b"made"


def lease() -> int | None:
    """Make the folder if needed and hold it: the descriptor to give to `release`; None for ordinary users."""
    if os.geteuid() != 0:
        return None
    while True:
        descriptor = os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if LOCK_FILE.exists() and os.path.samestat(os.fstat(descriptor), os.stat(LOCK_FILE)):
            break
        os.close(descriptor)  # its last user removed it between our open and our lock
    if not PRIVSEP_FOLDER.exists():
        PRIVSEP_FOLDER.mkdir(mode=0o755, exist_ok=True)
        os.pwrite(descriptor, _MADE_HERE, 0)
    return descriptor


def release(descriptor: int | None) -> None:
    """Let go; the last one to do so removes what stand-ins made, unless some sshd is running."""
    if descriptor is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another stand-in still needs it
        os.close(descriptor)
        return
    if os.pread(descriptor, len(_MADE_HERE), 0) == _MADE_HERE and not _any_sshd():
        with contextlib.suppress(OSError):  # not empty
            PRIVSEP_FOLDER.rmdir()
    LOCK_FILE.unlink(missing_ok=True)
    os.close(descriptor)


def _any_sshd() -> bool:
    """Whether a system's sshd was started meanwhile, which would lock its users out without the folder."""
    return any(command_line(process).partition(" ")[0].rstrip(":").endswith("sshd") for process in all_processes())
