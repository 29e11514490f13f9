"""A host of its own on this machine: a network namespace, with one line to PostgreSQL and one to the instances.

What ends a line is the kernel: its end on this side is taken down, as a cable that is pulled out. What is sent into it
is lost without a word.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from app.standin.errors import StandInUnavailable

_SECONDS = 10.0


class Line(StrEnum):
    """What leads to the host."""

    DATABASE = "db"
    INSTANCES = "ssh"


class PlayedHost:
    """A context manager; needs root. At its end nothing of it is left. For one thread."""

    name = "worker-away"

    def __init__(self) -> None:
        """Raises StandInUnavailable."""
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise StandInUnavailable("A host that is cut off needs root and ip(8); it is not played.")
        taken = {path.name for path in Path("/sys/class/net").iterdir()}
        number = random.SystemRandom().choice([n for n in range(50) if f"nf{n}{Line.DATABASE}" not in taken])
        self.net = f"10.{200 + number}"
        """The first half of the addresses of the instances."""
        self.database_address = f"{self.net}.250.1"
        """PostgreSQL's, as the host sees it; this machine has it whether a line is up or not."""
        self._space = f"nodeferry-{os.getpid()}"
        self._ends = {line: f"nf{number}{line}" for line in Line}
        """Of each line, on this side."""
        self._opened = ExitStack()

    @property
    def within(self) -> Sequence[str]:
        """The words before a command that is to run there."""
        return ("ip", "netns", "exec", self._space)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                self._make(stack)
            except (OSError, subprocess.SubprocessError) as exc:
                said = getattr(exc, "stderr", None) or str(exc)
                raise StandInUnavailable(f"No host can be played here: {said.strip()}") from exc
            self._opened = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def cut(self, lines: Sequence[Line]) -> None:
        """Nothing comes through any more."""
        for line in lines:
            _ip("link", "set", self._ends[line], "down")

    def mend(self, lines: Sequence[Line]) -> None:
        """They lead there again."""
        for line in lines:
            _ip("link", "set", self._ends[line], "up")

    def _make(self, stack: ExitStack) -> None:
        _ip("netns", "add", self._space)
        stack.callback(_ip, "netns", "delete", self._space)
        _ip("-n", self._space, "link", "set", "lo", "up")
        instances = f"{self.net}.0.0/17"
        for at, destination in ((instances, instances), (f"{self.database_address}/32",) * 2):
            _ip("route", "replace", "local", at, "dev", "lo")
            stack.callback(_ip, "route", "delete", "local", destination, "dev", "lo")
        for place, (line, to) in enumerate(((Line.DATABASE, self.database_address), (Line.INSTANCES, instances))):
            end, there = self._ends[line], str(line)
            _ip("link", "add", end, "type", "veth", "peer", "name", there, "netns", self._space)
            _ip("address", "add", f"{self.net}.{240 + place}.1/30", "dev", end)
            _ip("link", "set", end, "up")
            _ip("-n", self._space, "address", "add", f"{self.net}.{240 + place}.2/30", "dev", there)
            _ip("-n", self._space, "link", "set", there, "up")
            _ip("-n", self._space, "route", "add", to, "via", f"{self.net}.{240 + place}.1", "dev", there)


def _ip(*words: str) -> None:
    argv = ["ip", *words]
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
