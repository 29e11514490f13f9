"""A program on a pseudo-terminal, and a person who types there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Terminal:
    """A process with its three descriptors on a pseudo-terminal, and what it wrote."""

    process: subprocess.Popen[bytes]
    fd: int
    text: str = ""

    def read_until(self, wanted: str, seconds: float = 15.0) -> None:
        """Read on until `wanted` has been written."""
        self.read_while(lambda text: wanted not in text, seconds, wanted)

    def read_while(self, condition: Callable[[str], bool], seconds: float, wanted: str) -> None:
        """Read on as long as what was written is so; `wanted`: what is waited for."""
        deadline = time.monotonic() + seconds
        while condition(self.text):
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{wanted!r} not within {seconds} s in {self.text!r}"
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")

    def read_to_end(self, seconds: float = 30.0) -> None:
        """Read on until the program has closed its terminal."""
        deadline = time.monotonic() + seconds
        while select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:  # nobody has the other end any more
                return
        raise AssertionError(f"it has not ended within {seconds} s: {self.text[-300:]!r}")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.fd, keys.encode())


@contextmanager
def on_a_terminal(
    command: Sequence[str], environ: Mapping[str, str], *, columns: int = 100, lines: int = 30
) -> Iterator[Terminal]:
    """The command on a pseudo-terminal of that size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {**environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": str(lines)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
    os.close(ours)
