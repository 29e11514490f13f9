"""One run on a played instance: its journal and its log as they grow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from app.protocol.events import RunEnded
from app.protocol.seal import Seal
from app.protocol.states import TaskState
from bench.fleet.recordings import Fields, Said
from bench.fleet.script import Script
from bench.fleet.wire import json_line

BOOTED_SECONDS = 5000.0
"""What the instance's monotonic clock says when a run begins."""


class Reader(Protocol):
    """Somebody who follows a run."""

    def pump(self) -> None:
        """The run has something new, or is over."""


class Run:
    """A run that is played from `begin` on. In the event loop's thread."""

    def __init__(self, task_id: str, secret: str | None, script: Script, on_event: Callable[[int], None]) -> None:
        """`on_event` is called behind each event with how many there are."""
        self.task_id = task_id
        self.began = time.monotonic()
        self.lines: list[bytes] = []
        self.ends: list[int] = []
        """The journal's byte behind each line."""
        self.written: list[float] = []
        """When each line was written, by the clock of all processes of this machine."""
        self.bodies: list[Fields] = []
        self.log = bytearray()
        self.word = "running"
        """What `status` answers: running, ended or died."""
        self.readers: set[Reader] = set()
        self.sealed = secret is not None
        self._seal = Seal.of(secret)
        self._script = script
        self._on_event = on_event
        self._due = self.began
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """The journal's bytes."""
        return self.ends[-1] if self.ends else 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more is written."""
        return self.word != "running"

    def begin(self) -> None:
        """Plays it, on the loop that runs."""
        self._plan()

    def cancel(self) -> None:
        """The service asks it to stop."""
        if not self.is_over:
            self.close()
            end = {"event": RunEnded.kind, "state": TaskState.CANCELLED.value, "error": None}
            self._write(Said(end, "the run ended: cancelled"))

    def close(self) -> None:
        """Nothing is played any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _plan(self) -> None:
        if len(self.lines) == self._script.dies_at:
            self.word = "died"
            self._announce()
            return
        if self.is_over or len(self.lines) == len(self._script.events):
            return
        self._due += self._script.delays[len(self.lines)]
        self._timer = asyncio.get_running_loop().call_at(self._due, self._next)

    def _next(self) -> None:
        self._write(self._script.events[len(self.lines)])
        self._plan()

    def _write(self, said: Said) -> None:
        now = time.monotonic()
        event = {**said.fields, "seq": len(self.lines) + 1, "wall": round(time.time(), 3)}
        event["mono"] = round(BOOTED_SECONDS + now - self.began, 3)
        if "task_id" in event:
            event["task_id"] = self.task_id
        line = json_line(event)
        if self._seal is not None:
            line = self._seal.line(line + b"\n")[:-1]
        self.lines.append(line)
        self.ends.append(self.size + len(line) + 1)
        self.written.append(now)
        self.bodies.append(event)
        if said.note is not None:  # as the runner does, in run.log
            self.log += f"{time.strftime('%Y-%m-%d %H:%M:%S')},000 {said.note}\n".encode()
        if said.kind == RunEnded.kind:
            self.word = "ended"
        self._announce()
        self._on_event(len(self.lines))

    def _announce(self) -> None:
        for reader in list(self.readers):
            reader.pump()
