"""A pack's folder with everything that a copy may lose, and another file system to move it to."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ELSEWHERE = ("/dev/shm", "/run", "/var/tmp", "/tmp")


def write_pack(folder: Path) -> None:
    """Modules, a model, links of both kinds, a pipe, odd names, odd modes and old times."""
    (folder / "nodes" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir(mode=0o750)
    for name in ("__init__.py", "prestartup_script.py", "nodes/__init__.py", "nodes/deep/b.py", "name\nüni 'x'.txt"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "model.bin").write_bytes(os.urandom(300_000))
    os.link(folder / "model.bin", folder / "nodes" / "same.bin")
    (folder / "link").symlink_to("nodes/deep")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / "read_only").write_text("r")
    (folder / "read_only").chmod(0o444)
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o4755)
    for number, path in enumerate(sorted(folder.rglob("*"), reverse=True)):
        os.utime(path, ns=(1_600_000_000_123_456_789 + number,) * 2, follow_symlinks=False)


def tree_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is known of each entry: kind, mode, owner, time, content, and what it shares its content with."""
    paths = sorted([folder, *folder.rglob("*")])
    return {str(path.relative_to(folder)): (*_facts(path), _linked(path, paths)) for path in paths}


def _facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    if path.is_symlink():
        return ("link", os.readlink(path), found.st_uid, found.st_mtime_ns)
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else None
    changed = found.st_mtime_ns if stat.S_ISREG(found.st_mode) else None  # a folder's changes with what is in it
    return (found.st_mode, found.st_uid, found.st_gid, changed, content)


def _linked(path: Path, paths: list[Path]) -> int:
    found = path.lstat()
    return sum(os.path.samestat(found, other.lstat()) for other in paths)


@contextmanager
def another_file_system(than: Path) -> Iterator[Path]:
    """A folder of our own from which nothing can be renamed to `than`. There is one on every Linux: /dev/shm."""
    device = than.stat().st_dev
    where = next(folder for folder in _ELSEWHERE if os.path.isdir(folder) and os.stat(folder).st_dev != device)
    with tempfile.TemporaryDirectory(prefix="nodeferry-test-", dir=where) as folder:
        yield Path(folder)
