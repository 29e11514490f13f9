"""Runs commands over an SSH connection: starts them within a deadline, and reads both outputs while they run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from app.domain.errors import CommandTimedOut, ConnectFailed, ConnectionLost, ExecNotSupported, TooMuchOutput

CHUNK_BYTES = 65536
_CLOSING_SECONDS = 0.5
CHUNKS_AT_ONCE = 64
"""How much is read between two looks at the clock, however fast it comes."""
_WINDOW_POLL_SECONDS = 0.02


class Wake(threading.Event):
    """An event that is set when one of a channel's two outputs has something new. Only `rearm` clears it."""

    def clear(self) -> None:
        """Does nothing: the two outputs share this event, and neither may clear it."""

    def rearm(self) -> None:
        """Clears the event. Look at both outputs afterwards, before waiting."""
        super().clear()

    @classmethod
    def of(cls, channel: paramiko.Channel) -> Wake:
        """Makes a Wake that both outputs of `channel` set, also when they end."""
        wake = cls()
        channel.in_buffer.set_event(wake)
        channel.in_stderr_buffer.set_event(wake)
        return wake


def start_exec(transport: paramiko.Transport, command: str, timeout: float) -> paramiko.Channel:
    """Starts `command` without a terminal, within `timeout` seconds.

    Raises CommandTimedOut, ConnectionLost, ConnectFailed (no further session), ExecNotSupported.
    """
    end = time.monotonic() + timeout
    channel = open_channel(transport, timeout)
    # What `Channel.exec_command` sends. That one then waits without any time limit.
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(command)
    try:
        channel._event_pending()  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        try:
            transport._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise lost() from exc
        if not channel.event.wait(max(0.0, end - time.monotonic())):
            raise CommandTimedOut(f"The instance did not start a command within {timeout:g} s.")
        if not channel.event_ready:
            # A machine that goes down closes its channels a moment before its connection.
            transport.join(_CLOSING_SECONDS)
            raise ExecNotSupported if channel.eof_sent and transport.is_active() else lost()
    except BaseException:
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # the line is dead already
            channel.close()
        raise
    return channel


def open_channel(
    transport: paramiko.Transport, timeout: float, target: tuple[str, int] | None = None
) -> paramiko.Channel:
    """Opens a session channel, or one to `target` as seen from the instance.

    Raises CommandTimedOut, ConnectionLost, ConnectFailed.
    """
    try:
        if target is None:
            return transport.open_channel("session", timeout=timeout)
        return transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=timeout)
    except paramiko.ChannelException as exc:
        raise ConnectFailed(f"The instance allows no more SSH sessions: {exc.text}.") from exc
    except (paramiko.SSHException, EOFError, OSError) as exc:
        if transport.is_active():
            raise CommandTimedOut(f"The instance did not open an SSH session within {timeout:g} s.") from exc
        raise lost() from exc


def ended_orderly(channel: paramiko.Channel) -> bool:
    """Whether the command's output ended normally, and not because the connection was lost."""
    return bool(channel.eof_received) or channel.exit_status >= 0


def received(read: Callable[[int], bytes]) -> bytes:
    """A piece of a channel's output that is there. Raises ConnectionLost: reading also tells the other side that there
    is room again, over a line that may have ended."""
    try:
        return read(CHUNK_BYTES)
    except (paramiko.SSHException, EOFError, OSError) as exc:
        raise lost() from exc


def lost() -> ConnectionLost:
    """The error for a lost connection."""
    return ConnectionLost()


class Exchange:
    """One command's input and outputs from start to end, in the calling thread."""

    def __init__(self, channel: paramiko.Channel, stdin: bytes, limit: int) -> None:
        """`limit`: how many bytes each output may have."""
        self._channel = channel
        self._wake = Wake.of(channel)
        self._unsent = memoryview(stdin)
        self._input_open = True
        self._limit = limit
        self.stdout = bytearray()
        self.stderr = bytearray()

    def finish(self, end: float, timeout: float) -> int:
        """The exit status (-1 for a signal) when the command has ended. Raises CommandTimedOut, ConnectionLost,
        TooMuchOutput.

        `end`: when to give up, in time.monotonic's seconds; `timeout`: what the caller calls that limit.
        """
        channel = self._channel
        while True:
            self._wake.rearm()
            ended = channel.eof_received or channel.closed  # before draining: nothing comes behind it
            moved = self._drain()
            if ended and not moved:
                break
            moved = self._feed() or moved
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise CommandTimedOut(f"A command on the instance did not finish within {timeout:g} s.")
            if not moved:
                self._wake.wait(min(remaining, _WINDOW_POLL_SECONDS) if self._input_open else remaining)
        if not channel.status_event.wait(max(0.0, end - time.monotonic())):
            raise CommandTimedOut(f"A command on the instance did not finish within {timeout:g} s.")
        if not ended_orderly(channel):
            raise lost()
        return channel.exit_status

    def _drain(self) -> bool:
        """Whether there was something to read."""
        channel, moved = self._channel, False
        for _ in range(CHUNKS_AT_ONCE):
            if channel.recv_ready():
                self._keep(self.stdout, received(channel.recv))
            elif channel.recv_stderr_ready():
                self._keep(self.stderr, received(channel.recv_stderr))
            else:
                break
            moved = True
        return moved

    def _keep(self, output: bytearray, chunk: bytes) -> None:
        output += chunk
        if len(output) > self._limit:
            raise TooMuchOutput

    def _feed(self) -> bool:
        """Sends a piece of the input, or its end. Returns whether there is more. A command may close it early."""
        channel = self._channel
        if not self._input_open or (self._unsent and not channel.send_ready()):
            return False
        try:
            if self._unsent:
                self._unsent = self._unsent[channel.send(self._unsent[:CHUNK_BYTES].tobytes()) :]
            else:
                channel.shutdown_write()
                self._input_open = False
        except (paramiko.SSHException, EOFError, OSError):
            self._input_open = False  # what has become of the line shows in the outputs
        return self._input_open


def unread_bytes(channel: paramiko.Channel) -> int:
    """How much of a channel's two outputs waits to be read. A server that ignores the window may send without end."""
    return len(channel.in_buffer) + len(channel.in_stderr_buffer)
