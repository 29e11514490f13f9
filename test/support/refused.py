"""Files that cannot be removed, for machines where nobody may lock one (`chattr +i` needs a right of its own).

Python asks its audit hooks before it removes a file; a hook that raises refuses that.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_inodes: set[int] = set()
_hooked: list[bool] = []


def lock(path: Path, flag: str) -> bool:
    """Nobody can remove the file, not even root; whether this user and this file system can do that."""
    return subprocess.run(["chattr", flag, str(path)], capture_output=True, check=False).returncode == 0


@contextmanager
def cannot_be_removed(path: Path, root: Path) -> Iterator[None]:
    """The file at `path` cannot be removed by this process, wherever below `root` it is moved to. Really locked where
    that is possible; else this process is refused it, and the test's output says so."""
    if not lock(path, "+i"):
        print(f"NO FILE CAN BE LOCKED HERE, its removal is refused in the process: {path}")
        _inodes.add(path.lstat().st_ino)
        if not _hooked:
            _hooked.append(True)
            sys.addaudithook(_refuse)
    yield
    _inodes.clear()
    for found in root.rglob(path.name):
        lock(found, "-i")


def _refuse(event: str, args: tuple[object, ...]) -> None:
    if event == "os.remove" and _inodes and isinstance(args[0], str) and isinstance(args[1], int):
        where = None if args[1] == -1 else args[1]
        if os.stat(args[0], dir_fd=where, follow_symlinks=False).st_ino in _inodes:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), args[0])
