"""What one `follow` of a played instance sends, as the real runner's: lines, pieces of the log, heartbeats, the end."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from bisect import bisect_right
from collections.abc import Callable

from bench.fleet.run import Run
from bench.fleet.wire import json_line
from bench.hostile.words import Words

HEARTBEAT_SECONDS = 3.0
_PING_TIMEOUT_SECONDS = 60.0
_LOG = "run.log"
_PIECE_BYTES, _WINDOW_BYTES = 16 * 1024, 64 * 1024
_PAUSE_SECONDS = 0.25
_REST_SECONDS, _GREETING_SECONDS = 5.0, 0.5
"""As in app/runner/daemon: how logs are paced, and how long the end waits for whoever reads them."""


class Follower:
    """One reader of a run. In the event loop's thread. `send` and `end` write to, and close, its channel."""

    def __init__(self, run: Run, words: Words, send: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self._run = run
        self._words = words
        self._send = send
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._next = bisect_right(run.ends, words.offset)
        self._kept: int | None = None
        """What the reader has of the log; None until it has said so, -1: it wants no more."""
        self._sent = 0
        self._unread = b""
        self._unsent: list[bytes] = []
        self._sent_at = self._heard = time.monotonic()
        self._log_due = 0.0
        self._over_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat = self._loop.call_later(HEARTBEAT_SECONDS, self._heartbeat)
        run.readers.add(self)

    def pump(self) -> None:
        """Sends what is new."""
        run, first = self._run, self._next
        self._next = len(run.lines)
        if first < self._next:
            pairs = zip(run.ends[first:], run.lines[first:], strict=True)
            self._unsent += [self._words.frame("j", b"%d %s" % pair) for pair in pairs]
        self._add_log()
        self._flush()
        if run.is_over:
            self._finish()

    def received(self, content: bytes) -> None:
        """What the reader says on the follower's input."""
        self._heard = time.monotonic()
        *lines, self._unread = (self._unread + content).split(b"\n")
        for line in filter(None, lines):
            said = json.loads(line)
            if said.get("cancel"):
                self._write(self._words.frame("c", b"{}"))
                self._run.cancel()
            size = said.get("logs", {}).get(_LOG, 0) if "logs" in said else self._kept
            if self._kept is None and size is not None:
                self._sent = max(0, size)
            self._kept = size
        self.pump()

    def close(self) -> None:
        """The reader is gone, or all was sent."""
        self._run.readers.discard(self)
        self._beat.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        """All that is new in one piece, as sshd reads it from the runner."""
        if self._unsent:
            self._write(b"".join(self._unsent))
            self._unsent.clear()

    def _write(self, content: bytes) -> None:
        self._sent_at = time.monotonic()
        self._send(content)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._heard > _PING_TIMEOUT_SECONDS:
            self.close()
            self._end()
            return
        if now - self._sent_at >= HEARTBEAT_SECONDS:
            self._write(self._words.frame("h", json_line({"offset": self._run.size})))
        self._beat = self._loop.call_at(self._sent_at + HEARTBEAT_SECONDS, self._heartbeat)

    def _add_log(self) -> None:
        run, now = self._run, time.monotonic()
        if self._kept in (None, -1) or self._sent >= len(run.log):
            return
        if now < self._log_due and not run.is_over:
            self._later(self._log_due - now)
            return
        self._log_due = now + _PAUSE_SECONDS
        while self._sent < len(run.log) and self._sent - (self._kept or 0) < _WINDOW_BYTES:
            piece = bytes(run.log[self._sent : self._sent + _PIECE_BYTES])
            about = {"log": _LOG, "at": self._sent, "anew": False, "bytes": base64.b64encode(piece).decode()}
            self._sent += len(piece)
            self._unsent.append(self._words.frame("l", json_line(about)))

    def _finish(self) -> None:
        """Says that the run is over, once the reader has the log, or after a while."""
        now = time.monotonic()
        self._over_at = self._over_at or now
        greeted = self._kept is not None
        until = self._over_at + (_REST_SECONDS if greeted else _GREETING_SECONDS)
        has_all = greeted and (self._kept == -1 or (self._kept or 0) >= len(self._run.log))
        if not has_all and now < until:
            self._later(until - now)
            return
        self._write(self._words.frame("e", json_line({"status": self._run.word})))
        self.close()
        self._end()

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.pump)
