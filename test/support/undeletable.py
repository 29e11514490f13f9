"""A file that cannot be removed, as in images with protected or read-only mounted parts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def undeletable(file: Path) -> Iterator[None]:
    """Makes it so for a block: for root by the file's immutable flag, or where the file system has none by a read-only
    mount of its folder; for others by the folder's mode."""
    folder, mode = str(file.parent), file.parent.stat().st_mode
    if os.geteuid() != 0:
        file.parent.chmod(0o555)
        undo = None
    elif _done("chattr", "+i", str(file)):
        undo = ["chattr", "-i", str(file)]
    else:
        undo = ["umount", folder]
        if not (_done("mount", "--bind", folder, folder) and _done("mount", "-o", "remount,ro,bind", folder)):
            raise RuntimeError("this machine can neither protect a file nor mount a folder")
    try:
        yield
    finally:
        if undo is None:
            file.parent.chmod(mode)
        else:
            subprocess.run(undo, check=True, capture_output=True, timeout=10)


def _done(*argv: str) -> bool:
    try:
        return subprocess.run(argv, check=False, capture_output=True, timeout=10).returncode == 0
    except OSError:
        return False
