"""A script on an instance, over SSH, with the moment of each line that it prints."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from app.standin.instance import StandIn

_MOST_TROUBLES = 6


@dataclass(frozen=True, slots=True)
class Played:
    """How it went: its seconds, and its lines (stdout and stderr), each with the seconds when it came."""

    seconds: float
    lines: tuple[tuple[float, str], ...]
    status: int

    @property
    def troubles(self) -> tuple[str, ...]:
        """What it complained about."""
        said = [line for _, line in self.lines if line.lower().startswith(("error", "fatal"))]
        if self.status:
            said += [f"status {self.status}: {' | '.join(line for _, line in self.lines[-8:])}"]
        return tuple(said[:_MOST_TROUBLES])

    def when(self, start: str) -> list[float]:
        """When lines that begin so came."""
        return [when for when, line in self.lines if line.startswith(start)]


def play(standin: StandIn, lines: Sequence[str], timeout: float) -> Played:
    """Runs shell lines on the instance. One that takes longer than `timeout` seconds is ended: its status is not 0."""
    argv = ["ssh", "-p", str(standin.port), "-i", str(standin.client_key), "-o", "StrictHostKeyChecking=no"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"{standin.user}@{standin.host}", "sh", "-s"]
    began = time.monotonic()
    with (
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
        ThreadPoolExecutor(1) as pool,
    ):
        assert process.stdin is not None and process.stdout is not None
        reading = pool.submit(_timed, process.stdout, began)
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.close()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
        seconds = time.monotonic() - began
        said = reading.result()
    return Played(seconds, tuple(said), process.returncode)


def _timed(output: IO[str], began: float) -> list[tuple[float, str]]:
    return [(time.monotonic() - began, line.rstrip("\n")) for line in output]
