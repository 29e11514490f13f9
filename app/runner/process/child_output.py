"""Waiting for what a child writes and for its end, without looking again and again where the system tells of it."""

from __future__ import annotations

import os
import select
import subprocess
from types import TracebackType
from typing import Optional, Type

LOOK_SECONDS = 0.2
"""How long one wait lasts at most: whoever waits looks at clocks and at a cancel in between."""
_PIECE_BYTES = 65536
_FIRST_MS, _LONGEST_MS = 1, 20
"""Where the system does not tell of a child's end, its own end of the output being closed already."""


class ChildOutput:
    """The output of one child that this process started and has not waited for. For one thread; a context manager."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        self._output = child.stdout.fileno()
        self._end = _pidfd(child.pid)
        self._is_open = True
        self._pause = _FIRST_MS
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        if self._end is not None:
            self._poll.register(self._end, select.POLLIN)

    def __enter__(self) -> ChildOutput:
        return self

    def __exit__(
        self, _type: Optional[Type[BaseException]], _value: Optional[BaseException], _trace: Optional[TracebackType]
    ) -> None:
        if self._end is not None:
            os.close(self._end)

    def read(self) -> Optional[bytes]:
        """The next piece; empty once nobody can write any more; None when there is nothing yet. It waits until there is
        a piece or the child has ended, at most `LOOK_SECONDS`; for the child's end it waits but once."""
        if self._is_open:
            ready = {fd for fd, _ in self._poll.poll(LOOK_SECONDS * 1000)}
            if self._end in ready:
                self._poll.unregister(self._end)
            if self._output not in ready:
                return None
            piece = os.read(self._output, _PIECE_BYTES)
            if not piece:
                self._is_open = False
                self._poll.unregister(self._output)
            return piece
        self._wait_for_end()
        return b""

    def _wait_for_end(self) -> None:
        """The output was closed, and the child had not ended: most end at once."""
        if self._end is not None:
            self._poll.poll(LOOK_SECONDS * 1000)
            return
        self._poll.poll(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_MS)


def _pidfd(pid: int) -> Optional[int]:
    """A descriptor that can be read once the process has ended (pidfd_open(2)); None where the kernel is older than 5.3
    or the container forbids it."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None
