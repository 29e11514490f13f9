"""Reads the output of a long-running command on an instance, line by line."""

from __future__ import annotations

import contextlib
import time

import paramiko

from app.domain.errors import ConnectionLost
from app.remote.channel import CHUNK_BYTES, Wake, ended_orderly, lost

MAX_LINE_BYTES = 8 * 1024 * 1024
STDERR_TAIL_BYTES = 4096


class RemoteStream:
    """The lines of a running command. For one thread at a time, but `send` and `close` may be called from any."""

    def __init__(self, channel: paramiko.Channel, send_timeout: float) -> None:
        """`send_timeout`: seconds that one `send` may take."""
        self._channel = channel
        self._wake = Wake.of(channel)
        self._unread = bytearray()
        self._searched = 0
        self._stderr_tail = bytearray()
        channel.settimeout(send_timeout)

    @property
    def stderr_tail(self) -> bytes:
        """The last 4 KB of the command's error output that `read_line` has seen."""
        return bytes(self._stderr_tail)

    def read_line(self, timeout: float) -> bytes | None:
        r"""One line with its \n; b"" when the command's output has ended; None when `timeout` seconds brought no line.

        The last line may lack its \n. Raises ConnectionLost when the line is dead or was closed here.
        """
        end = time.monotonic() + timeout
        while True:
            self._wake.rearm()
            ended = self._channel.eof_received or self._channel.closed  # before draining: nothing comes behind it
            self._drain()
            line = self._read_line()
            if line is not None:
                return line
            if ended:
                if not ended_orderly(self._channel):
                    raise lost()
                rest, self._searched = bytes(self._unread), 0
                self._unread.clear()
                return rest
            remaining = end - time.monotonic()
            if remaining <= 0:
                return None
            self._wake.wait(remaining)

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
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # the line is dead already
            self._channel.close()

    def _drain(self) -> None:
        channel = self._channel
        while channel.recv_stderr_ready():
            self._stderr_tail += channel.recv_stderr(CHUNK_BYTES)
            del self._stderr_tail[:-STDERR_TAIL_BYTES]
        while channel.recv_ready() and len(self._unread) <= MAX_LINE_BYTES:
            self._unread += channel.recv(CHUNK_BYTES)

    def _read_line(self) -> bytes | None:
        at = self._unread.find(b"\n", self._searched)
        if at < 0:
            self._searched = len(self._unread)
            if self._searched > MAX_LINE_BYTES:
                raise ConnectionLost("The instance sent an endless line of output.")
            return None
        line = bytes(self._unread[: at + 1])
        del self._unread[: at + 1]
        self._searched = 0
        return line
