"""What processes take, as the kernel counts it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_SECONDS = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Taken:
    """Of some processes together."""

    memory_kib: int = 0
    threads: int = 0
    files: int = 0
    processor_seconds: float = 0.0

    def __add__(self, other: Taken) -> Taken:
        return Taken(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def most(self, other: Taken) -> Taken:
        """The larger of each."""
        return Taken(*(max(getattr(self, name), getattr(other, name)) for name in self.__slots__))


def taken(pids: Sequence[int]) -> Taken:
    """By these processes now; those that are gone count as nothing."""
    total = Taken()
    for pid in pids:
        total += _taken_by(pid)
    return total


def shared_memory_kib(pids: Sequence[int]) -> int:
    """Their memory, with what several of them share counted once. Takes long."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found, unread = [], [pid]
    while unread:
        found.append(unread.pop())
        for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            unread += [int(child) for child in children.read_text("ascii").split()]
    return found


def _taken_by(pid: int) -> Taken:
    folder = Path(f"/proc/{pid}")
    try:
        words = dict(line.split(":", 1) for line in (folder / "status").read_text("ascii", "replace").splitlines())
        used = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        files = len(os.listdir(folder / "fd"))
    except (OSError, ProcessLookupError):
        return Taken()
    seconds = (int(used[11]) + int(used[12])) / _TICKS
    return Taken(
        memory_kib=int(words["VmRSS"].split()[0]),
        threads=int(words["Threads"]),
        files=files,
        processor_seconds=seconds,
    )


class Gauge:
    """Looks once a second, in a thread of its own, while its block lasts. `most` is the most of each that was seen."""

    def __init__(self, pids: Callable[[], Sequence[int]], also: Callable[[], None] = lambda: None) -> None:
        """`also`: called at each look."""
        self.most = Taken()
        self._pids = pids
        self._also = also
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="gauge", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.most = self.most.most(taken(self._pids()))
            self._also()
            if self._over.wait(_LOOK_SECONDS):
                return
