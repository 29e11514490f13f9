"""The hostile instances' process, as the bench uses it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.hostile.script import Script

ROOT = Path(__file__).parents[2]
_NICE = 5
"""Instances are other machines: what they do is not to cost the service's time."""


class Machines:
    """A context manager. `opened` and `close` may be called from any thread."""

    def __init__(self, recorded: Path) -> None:
        """`recorded`: the journal of a real run."""
        self._recorded = recorded
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.hostile.server", str(self._recorded)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: os.nice(_NICE),  # noqa: PLW1509
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def opened(self, script: Script) -> int:
        """The port of an instance that plays this script."""
        return int(self._ask({"open": dataclasses.asdict(script)})["port"])

    def close(self, script: Script) -> tuple[float, bool]:
        """Ends it; the moment of its last connection, in seconds of the monotonic clock, and whether it has confirmed a
        cancel."""
        found = self._ask({"close": script.number})
        return found["connected_at"], bool(found["confirmed"])

    def _ask(self, asked: dict[str, object]) -> dict[str, float]:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found


def machines_yield() -> None:
    """What this process has started so far are instances, which work when nothing else does."""
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text("ascii").split():
            os.setpriority(os.PRIO_PROCESS, int(pid), os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
