"""A program on a pseudo-terminal, and a person who types there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
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
        deadline = time.monotonic() + seconds
        while wanted not in self.text:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{wanted!r} not within {seconds} s in {self.text!r}"
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.fd, keys.encode())


@contextmanager
def on_a_terminal(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[Terminal]:
    """The command on a pseudo-terminal of 30 lines and 100 columns."""
    ours, theirs = pty.openpty()
    environment = {**environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
    os.close(ours)
