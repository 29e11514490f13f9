"""How much a git command may write: the size of a repository has a limit, and the disk keeps some room.

A few kilobytes of packed objects can become as many files and bytes as one likes, so what counts is what lies on the
disk. It is looked at while git works, in a folder that it writes to, and git is ended before the disk is full.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from app.protocol.amounts import size
from app.protocol.snapshot import Problem

TOO_LARGE = frozenset({"repository_too_large", "no_room_for_repository"})
_GLANCE = 0.1
_FIRST = 0.5
_REST = 8.0
"""Times as long as a look took, nothing is looked at: a look at many files takes long."""
_KEPT = 512 * 1024**2
_KEPT_PART = 0.05
_SMALL = 64 * 1024**2
"""What has not written more is not what fills the disk."""
_LARGE_HINT = (
    "If the pack is worth it, raise the service's limit (NODEFERRY_MAX_REPOSITORY_BYTES; 0: none), then start again. "
    "Else leave it out, or ask its author why it is so large."
)
_FILES_HINT = "Leave the pack out, or ask its author for one with fewer files."
_ROOM_HINT = "Free some space on the instance's disk, or rent one with more, then start again; or leave the pack out."


@dataclass(frozen=True)
class Room:
    """`most_bytes` and `most_files` of one repository with its files; 0: any number. In `fresh` all that lies there
    counts; elsewhere what comes in addition, since a pack's folder has its user's models too."""

    most_bytes: float = 0
    most_files: float = 0
    fresh: Optional[Path] = None

    def watch(self, folder: Path) -> Watch:
        """Looks at a folder while a block runs."""
        is_fresh = self.fresh is not None and self.fresh in folder.parents
        return Watch(self, folder, (0, 0) if is_fresh else None)

    def problem(self, found: Tuple[float, float], disk: Path, *, coming: float = 0) -> Optional[Problem]:
        """Why so many bytes and files are too much. `coming`: bytes of them that are not on the disk yet."""
        written, files = found
        if self.most_bytes and written > self.most_bytes:
            text = "The repository is too large: %s with its files, where %s are allowed. It was not installed."
            return Problem("repository_too_large", text % (size(int(written)), size(int(self.most_bytes))), _LARGE_HINT)
        if self.most_files and files > self.most_files:
            text = "The repository has too many files: %d, where %d are allowed. It was not installed."
            return Problem("repository_too_large", text % (files, self.most_files), _FILES_HINT)
        if written > _SMALL and _is_low(disk, coming):
            usage = shutil.disk_usage(str(disk))
            text = "The repository has %s with its files, and the disk no room for it: %s are free, and %s must stay."
            words = (size(int(written)), size(usage.free), size(int(_kept(usage.total))))
            return Problem("no_room_for_repository", text % words, _ROOM_HINT)
        return None


class Watch:
    """A block in which git writes to a folder. `over` is set once that is too much; `problem` says why."""

    def __init__(self, room: Room, folder: Path, before: Optional[Tuple[float, float]]) -> None:
        self.over = threading.Event()
        self.problem: Optional[Problem] = None
        self._room = room
        self._folder = folder
        self._before = before
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="room", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def last_look(self) -> Optional[Problem]:
        """Once git has ended, which it may have done before anybody looked: why what lies in a fresh folder is too
        much."""
        return self._room.problem(measured(self._folder), self._folder) if self._before == (0, 0) else None

    def _look(self) -> None:
        due = time.monotonic() + _FIRST
        while not self._ended.wait(_GLANCE):
            began = time.monotonic()
            if began < due and not _is_low(self._folder):
                continue
            written, files = measured(self._folder, self._ended)
            due = time.monotonic() + max(_FIRST, (time.monotonic() - began) * _REST)
            if self._before is None:  # of a folder with much in it this takes longer than most commands of git
                self._before = (written, files)
            found = (written - self._before[0], files - self._before[1])
            self.problem = self._room.problem(found, self._folder)
            if self.problem is not None:
                self.over.set()
                return


def _is_low(folder: Path, coming: float = 0) -> bool:
    """Whether a disk has no room but what it keeps."""
    try:
        usage = shutil.disk_usage(str(folder))
    except OSError:
        return False
    return bool(usage.total) and usage.free - coming < _kept(usage.total)  # some network volumes tell no size


def _kept(total: int) -> float:
    return min(_KEPT, total * _KEPT_PART)


def measured(folder: Path, ended: Optional[threading.Event] = None) -> Tuple[float, float]:
    """Bytes on the disk and files of a folder. What goes meanwhile is not counted."""
    written = files = 0
    waiting = [str(folder)]
    while waiting and not (ended and ended.is_set()):
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    with suppress(OSError):
                        written += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return written, files
