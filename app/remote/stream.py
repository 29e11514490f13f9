"""Reads the output of a long-running command on an instance, line by line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import paramiko

from app.domain.errors import TooMuchOutput
from app.remote.channel import CHUNKS_AT_ONCE, Wake, ended_orderly, lost, received

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A frame is a line of the journal, which has 2 MiB at most, or a piece of a log."""
STDERR_TAIL_BYTES = 4096


class RemoteStream:
    """The lines of a running command. For one thread at a time, but `send`, `interrupt` and `close` may be called from
    any."""

    def __init__(
        self,
        channel: paramiko.Channel,
        send_timeout: float,
        *,
        on_close: Callable[[int | None, str], None] = lambda _status, _why: None,
    ) -> None:
        """`send_timeout`: seconds that one `send` may take. `on_close`: gets the exit status, if that is known."""
        self._channel = channel
        self._on_close = on_close
        self._wake = Wake.of(channel)
        self._unread = bytearray()
        self._searched = 0
        self._dropped = 0
        self._stderr_tail = bytearray()
        self._interrupted = False
        channel.settimeout(send_timeout)

    @property
    def stderr_tail(self) -> bytes:
        """The last 4 KB of the command's error output that `read_line` has seen."""
        return bytes(self._stderr_tail)

    def read_line(self, timeout: float) -> bytes | None:
        r"""One line with its \n; b"" when the command's output has ended; None when `timeout` seconds brought no line.

        The last line may lack its \n. Raises ConnectionLost when the line is dead or was closed here, and TooMuchOutput
        for a line without an end.
        """
        end = time.monotonic() + timeout
        while True:
            self._wake.rearm()
            ended = self._channel.eof_received or self._channel.closed  # before draining: nothing comes behind it
            moved = self._drain()
            line = self._read_line()
            if line is not None:
                return line
            if ended and not moved:
                if not ended_orderly(self._channel):
                    raise lost()
                rest, self._searched = bytes(self._unread), 0
                self._unread.clear()
                return rest
            remaining = end - time.monotonic()
            if remaining <= 0 or self._interrupted:
                self._interrupted = False
                return None
            if not moved:
                self._wake.wait(remaining)

    def interrupt(self) -> None:
        """Ends the `read_line` that waits, or the next one that would, as if its time was over."""
        self._interrupted = True
        self._wake.set()

    def send(self, content: bytes) -> None:
        """Writes to the command's input. Raises ConnectionLost, also when the command does not read it in time."""
        try:
            self._channel.sendall(content)
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise lost() from exc

    def exit_status(self, timeout: float) -> int | None:
        """The exit status (-1: by a signal, or the line is dead); None when it is not there after `timeout` seconds.

        Meant for after the end of the output: it does not read.
        """
        return self._channel.exit_status if self._channel.status_event.wait(timeout) else None

    def close(self) -> None:
        """Closes the command's input and outputs; the command is not killed. May be called again, from any thread."""
        known = self._channel.status_event.is_set()
        self._on_close(self._channel.exit_status if known else None, "" if known else "closed")
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # the line is dead already
            self._channel.close()

    def has_ended(self, most_bytes: int) -> bool:
        """Whether the command's output has ended; what has come of it is dropped. For commands whose output says
        nothing. One that has printed more than `most_bytes` counts as ended. Raises ConnectionLost."""
        if self._dropped > most_bytes:
            return True
        while (line := self.read_line(0.0)) and self._dropped <= most_bytes:
            self._dropped += len(line)
        return line == b"" or self._dropped > most_bytes

    def _drain(self) -> bool:
        """Whether there was something to read. It is not all that there is, where more comes while it is read."""
        channel, moved = self._channel, False
        for _ in range(CHUNKS_AT_ONCE):
            if channel.recv_stderr_ready():
                self._stderr_tail += received(channel.recv_stderr)
                del self._stderr_tail[:-STDERR_TAIL_BYTES]
            elif channel.recv_ready() and len(self._unread) <= MAX_LINE_BYTES:
                self._unread += received(channel.recv)
            else:
                break
            moved = True
        return moved

    def _read_line(self) -> bytes | None:
        at = self._unread.find(b"\n", self._searched)
        if at < 0:
            self._searched = len(self._unread)
            if self._searched > MAX_LINE_BYTES:
                raise TooMuchOutput("The instance sent an endless line of output.")
            return None
        line = bytes(self._unread[: at + 1])
        del self._unread[: at + 1]
        self._searched = 0
        return line
