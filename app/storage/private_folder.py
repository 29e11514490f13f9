"""The service's own folder: for its user alone, whatever the umask is and whatever it was before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.storage.errors import StorageError

_FOLDER, _FILE = 0o700, 0o600
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def private(path: str, flags: int) -> int:
    """Opens a file for `open(…, opener=private)`: made for its user alone, and never through a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE)


def private_folders(folder: Path) -> None:
    """Makes a folder, and those above it that are missing, for its user alone: `mkdir` leaves those above it to the
    umask. Raises OSError."""
    for above in reversed(folder.parents):
        if not above.exists():
            above.mkdir(mode=_FOLDER, exist_ok=True)
    folder.mkdir(mode=_FOLDER, exist_ok=True)


def make_private(folder: Path) -> int:
    """Makes a folder and those above it that are missing. One that is there already becomes private, with everything in
    it; how many entries others could reach until now.

    Raises StorageError for a folder of another user, or with something of one in it: they could put there what they
    like, or go on reading."""
    try:
        private_folders(folder)
        if folder.is_symlink():
            _check(folder, os.lstat(folder))
        real = folder.resolve()
        _check(real, real.stat())
        was_open = _narrow(real, real.stat(), _FOLDER)
        narrowed = sum(_entries(real))
        return 1 + narrowed if was_open else 0
    except OSError as exc:
        raise StorageError(f"The data folder {folder} cannot be used: {exc.strerror}.", hint=_HINT) from exc


def _entries(folder: Path) -> Iterator[bool]:
    """For each entry, from above to below, whether others could look into it. Links are not followed."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # a service that runs there removes it at this moment
                about = os.lstat(path)
                _check(path, about)
                yield _narrow(path, about, _FOLDER if stat.S_ISDIR(about.st_mode) else _FILE)


def _check(path: Path, about: os.stat_result) -> None:
    if about.st_uid not in (os.geteuid(), 0):  # root can do everything anyway
        hint = f"{_HINT} Or make it yours: chown -R {os.geteuid()} {path}"
        raise StorageError(f"{path} belongs to another user of this machine.", hint=hint)


def _narrow(path: Path, about: os.stat_result, mode: int) -> bool:
    """Whether it was open to others, and is no longer. Raises OSError."""
    wide = stat.S_IMODE(about.st_mode) & 0o077
    if not wide or about.st_uid != os.geteuid() or not (stat.S_ISDIR(about.st_mode) or stat.S_ISREG(about.st_mode)):
        return False
    descriptor = os.open(path, _READ)
    try:
        with suppress(PermissionError):  # a volume without modes
            os.fchmod(descriptor, mode)
        return not stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077
    finally:
        os.close(descriptor)


_HINT = "Choose a folder of your own with --data-dir or NODEFERRY_DATA_DIR."
