"""A file system of a test's own, with little room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs mounted at a folder. `options`: as mount(8) takes them. Skips where none can be mounted."""
    command = ["mount", "-t", "tmpfs", "-o", options, "nodeferry-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
