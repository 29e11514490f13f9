"""The run's own files and folders: for its user alone, whatever the umask is and whatever others have put there."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from app.protocol.redaction import masked

_FOLDER, _FILE = 0o700, 0o600
_UNKNOWN_USER = 65534
"""Whom the kernel names where a user has no number here: on some network volumes and in some containers that is us."""


def private(path: str, flags: int) -> int:
    """Opens a file for `open(…, opener=private)`: made for its user alone, and never through a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE)


def unfollowed(path: str, flags: int) -> int:
    """Opens a file for `open(…, opener=unfollowed)` to read: never through a link, and never to wait for a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def append_to_log(path: Path, text: str) -> None:
    """Adds to a log of the run, which it makes where it is missing, without secrets. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
    with open(str(path), "a", encoding="utf-8", errors="replace", opener=private) as log:
        log.write(masked(text))


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it that are missing; one that is there already becomes private. Raises OSError,
    also where it belongs to another user."""
    for above in reversed(folder.parents):
        if not above.exists():
            with suppress(FileExistsError):
                above.mkdir(mode=_FOLDER)
    folder.mkdir(mode=_FOLDER, exist_ok=True)
    about = folder.stat()
    if about.st_uid not in (os.geteuid(), _UNKNOWN_USER):
        raise PermissionError(errno.EPERM, "it belongs to another user of this machine", str(folder))
    if stat.S_IMODE(about.st_mode) & 0o077:
        with suppress(OSError):  # a volume without modes
            folder.chmod(_FOLDER)


def is_ours(path: Path) -> bool:
    """Whether a file of ours stands there, or nothing: not another user's, no folder, no link, no pipe."""
    try:
        about = os.lstat(str(path))
    except OSError:
        return True
    return stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid()


def remove_file(path: Path) -> None:
    """Removes a file of ours; what others have put in its place stays, and is no error."""
    if is_ours(path):
        with suppress(OSError):
            path.unlink()
