"""Says that a run which was asked to stop is at work: it may put packages back for minutes, and whoever waits for its
end gives up on one that says nothing."""

from __future__ import annotations

import threading
import time
from typing import Callable

from app.protocol.events import Waiting
from app.runner.daemon.journal import Journal

REPORT_SECONDS = 5.0


class Ending:
    """The end of one run, after `cancelled` is set."""

    def __init__(self, journal: Journal, cancelled: threading.Event) -> None:
        """For the thread that does the run's work."""
        self.cancelled = cancelled
        self._journal = journal
        self._worked = _clock_of_this_thread()
        self._lock = threading.Lock()
        self._over = threading.Event()

    def report(self) -> None:
        """Says every few seconds that the run works, until it has ended; not while it stands still."""
        began, before = time.monotonic(), self._worked()
        while not self._over.wait(REPORT_SECONDS):
            worked = self._worked()
            with self._lock:
                if worked > before and not self._over.is_set():
                    seconds = time.monotonic() - began
                    text = "The install is being stopped; what it had begun is put back (for %d s so far)" % seconds
                    self._journal.emit(Waiting("ending", text))
            before = worked

    def stop(self) -> None:
        """Nothing is said from now on: the run's last event comes."""
        with self._lock:
            self._over.set()


def _clock_of_this_thread() -> Callable[[], float]:
    """How many seconds of processor time the calling thread has used, for any thread to ask."""
    try:
        clock = time.pthread_getcpuclockid(threading.get_ident())
    except (AttributeError, OSError):  # no such clock on this system: time itself has to do
        return time.monotonic
    return lambda: time.clock_gettime(clock)
