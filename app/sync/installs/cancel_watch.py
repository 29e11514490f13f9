"""The deadlines of a cancel: an instance that can be reached and does not obey keeps no task from ending.

No amount of talk moves them. They are on the connection: when one is over, the connection ends, whatever the install's
thread waits for just then. An instance that cannot be reached is another matter: the cancel waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.remote.host import RemoteHost
from app.sync.installs.cancel_signal import CancelSignal

CONFIRM_SECONDS = 3.0
"""How long the instance may take to say that it has the cancel. The follower that runs there says so within 0.2 s; the
connection itself ends within another second."""
ATTACH_SECONDS = 8.0
"""The same over a connection that was made after the cancel: what follows the run has to be started there first."""
QUIET_SECONDS = 15.0
"""How long a run that has the cancel may say nothing. While it puts things back it says so every five seconds."""
MOST_SECONDS = 120.0
"""How long a run that has the cancel may take in all."""
MOST_CONNECTIONS = 6
"""How many connections may be made after a cancel, each of them logged in, without its arriving."""


class CancelWatch:
    """Of one install. Its thread calls every method; the cancel itself comes from any."""

    def __init__(self, signal: CancelSignal) -> None:
        self._signal = signal
        self._lock = threading.Lock()
        self._host: RemoteHost | None = None
        self._attaching = False
        self._asked_at = 0.0
        self._end: float | None = None
        self._noted_at: float | None = None
        self._connections = 0
        self.unheeded = False
        """Whether the instance was reached, and did not do what the cancel asks for."""

    @contextmanager
    def over(self, host: RemoteHost) -> Iterator[None]:
        """Watches a connection for the block."""
        with self._lock:
            self._host, self._end, self._attaching = host, None, self._signal.is_set()
        try:
            with self._signal.aborting(self._begin):
                yield
        finally:
            with self._lock:
                self._host = None
            self._judge(host)

    @property
    def is_noted(self) -> bool:
        """Whether the instance has said that it has the cancel."""
        return self._noted_at is not None

    def noted(self) -> None:
        """The instance has the cancel."""
        with self._lock:
            if self._noted_at is None:
                self._noted_at = time.monotonic()
        self.moved()

    def moved(self) -> None:
        """The run has said something new. Only after the cancel has arrived does that count."""
        with self._lock:
            if self._noted_at is not None and self._end is not None:
                now = time.monotonic()
                self._set_end(min(now + QUIET_SECONDS, max(self._noted_at + MOST_SECONDS, self._asked_at)))

    def _begin(self) -> None:
        """The cancel has come, or the connection has come after it. Any thread."""
        with self._lock:
            if self._host is None or self._end is not None:
                return
            self._asked_at = time.monotonic()
            self._connections += 1
            self._set_end(self._asked_at + (ATTACH_SECONDS if self._attaching else CONFIRM_SECONDS))

    def _set_end(self, moment: float) -> None:
        self._end = moment
        if self._host is not None:
            self._host.end_by(moment)

    def _judge(self, host: RemoteHost) -> None:
        """A line that has brought nothing at all since the cancel is a lost one: the instance may know nothing of it.
        A new connection was logged in to, hence the instance answers."""
        if self._end is None:
            return
        answers = self._attaching or host.heard_at > self._asked_at
        if (time.monotonic() >= self._end and answers) or self._connections > MOST_CONNECTIONS:
            self.unheeded = True
