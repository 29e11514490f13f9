"""How much of the processor an install's thread may take: an instance that tells news without end slows its own task
down, and nothing else. What comes meanwhile is read later."""

from __future__ import annotations

import time

from app.remote.pace import Bucket

SHARE = 0.05
"""Seconds of the processor a second."""
AT_ONCE_SECONDS = 2.0
"""Seconds of the processor that may be taken sooner: after a restart much is to be read. Not in one go, though:"""
_GO_SECONDS, _REST = 0.005, 2.0
"""After so much, others have so many times as long."""


class CpuShare:
    """Of one install, whose thread calls every method."""

    def __init__(self) -> None:
        self._bucket = Bucket(SHARE, AT_ONCE_SECONDS)
        self._counted = 0.0
        self._in_one_go = 0.0

    def begin(self) -> None:
        """Counts what this thread takes from now on."""
        self._counted = time.thread_time()

    def rest_seconds(self) -> float:
        """For how long to rest now, after what was taken since the last call."""
        now = time.thread_time()
        taken, self._counted = now - self._counted, now
        self._in_one_go += taken
        rest = self._bucket.spend(taken)
        if self._in_one_go >= _GO_SECONDS:
            rest, self._in_one_go = max(rest, _REST * self._in_one_go), 0.0
        return rest

    def renew(self) -> None:
        """A cancel is not to wait for what came before it."""
        self._bucket = Bucket(SHARE, AT_ONCE_SECONDS)
