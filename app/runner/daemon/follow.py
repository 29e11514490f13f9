"""`follow`: sends the journal's lines from an offset on and new bytes of the logs, and says when the run has ended.

It sends heartbeats while there is nothing else. Its reader may ask it to stop the run: it runs already, so that this
arrives sooner than a command of its own. It ends by itself when nobody reads: at the end of stdin, or after a
minute without a byte from there.
"""

from __future__ import annotations

import os
import select
import time
from typing import Callable, Optional, Tuple

from app.runner.daemon import control, frames, run_files
from app.runner.daemon.frames import Frames
from app.runner.daemon.journal_reader import JournalReader
from app.runner.daemon.log_stream import LogStream
from app.runner.process.locks import is_locked
from app.runner.process.paths import Task

HEARTBEAT_SECONDS = 3.0
PING_TIMEOUT_SECONDS = 60.0
_LOOK_SECONDS = 0.05


class _Input:
    """What the reader writes: pings, how much it has of each log, and that the run is to stop."""

    def __init__(self, fd: int, logs: LogStream, stop: Callable[[], None]) -> None:
        self._fd = fd
        self._logs = logs
        self._stop = stop
        self._heard = time.monotonic()

    def is_there(self, wait: float) -> bool:
        """Takes what the reader wrote within `wait` seconds. False when the reader is gone or was silent too long."""
        if select.select([self._fd], [], [], wait)[0]:
            said = os.read(self._fd, 65536)
            if not said:
                return False
            if self._logs.apply(said):
                self._stop()
            self._heard = time.monotonic()
        return time.monotonic() - self._heard <= PING_TIMEOUT_SECONDS


def follow(task: Task, offset: int, out: Frames, stdin: int = 0) -> None:
    """Sends frames until the run has ended and everything was sent, or until the reader is gone."""
    beat = time.monotonic()
    logs = LogStream(task, out)

    def stop() -> None:
        control.ask_to_stop(task)
        out.json(frames.CANCEL, {})

    reader = _Input(stdin, logs, stop)
    with JournalReader(task.journal, offset) as journal:
        while True:
            running = is_locked(task.lock)  # tested before reading, so that the run's last lines are read
            sent = _send_lines(journal.next, out)
            now = time.monotonic()
            if running or sent:
                logs.send()
            elif not logs.send_rest():
                word = "ended" if run_files.has_ended(task.journal) else "died"
                out.json(frames.END, {"status": word})
                return
            if sent or now - beat >= HEARTBEAT_SECONDS:
                beat = now
            if not sent and beat == now:
                out.json(frames.HEARTBEAT, {"offset": journal.at})
            if not reader.is_there(0 if sent else _LOOK_SECONDS):
                return


def _send_lines(next_line: Callable[[], Optional[Tuple[int, bytes]]], out: Frames) -> int:
    """Sends the whole lines; a line that is still being written waits for the next call."""
    sent = 0
    while (found := next_line()) is not None:
        out.write(frames.JOURNAL, b"%d %s" % found)
        sent += 1
    return sent
