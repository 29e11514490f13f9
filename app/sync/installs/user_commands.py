"""A user's short commands to a run (a skip, an answer), on their way to the instance: one at a time, since sshd allows
few sessions, and each once for each connection."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from app.remote.stream import RemoteStream

ANSWER_SECONDS = 30.0
"""How long the instance may take to note a command before the next one is sent."""

_MOST_BYTES = 256 * 1024
"""A command that prints more is not waited for."""

_log = logging.getLogger(__name__)


class CommandStream:
    """The command that one install's thread has sent last, and waits for without blocking."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self._stream: RemoteStream | None = None
        self._sent_at = 0.0
        self._sent: set[tuple[str, ...]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a command is on its way."""
        return self._stream is not None

    def begin_connection(self) -> None:
        """A new connection: nothing was sent over it yet."""
        self._stream = None
        self._sent = set()

    def send(self, command: tuple[str, ...], start: Callable[[], RemoteStream]) -> None:
        """Sends `command` by `start`, unless it was sent over this connection already. Where another one has not
        arrived yet, nothing is sent: the next call does it. Does not wait. Raises ConnectionLost."""
        if command not in self._sent and self._is_free():
            self._sent.add(command)
            self._stream, self._sent_at = start(), time.monotonic()

    def _is_free(self) -> bool:
        """Whether the last one has arrived, or took too long. Raises ConnectionLost."""
        if self._stream is None:
            return True
        late = time.monotonic() - self._sent_at > ANSWER_SECONDS
        if not late and not self._stream.has_ended(_MOST_BYTES):
            return False  # what it prints does not count: the end of the output says that the command has ended
        if late:
            _log.warning("task %s: the instance did not confirm what the user asked for", self._task_id)
        self._stream.close()
        self._stream = None
        return True
