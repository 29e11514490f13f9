"""A logged-in instance: short commands, uploads, and long-lived streams."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import paramiko

from app.domain.errors import ExecNotSupported, RemoteError
from app.domain.hostkeys import HostKey
from app.remote import channel as channels
from app.remote.quoting import quote_command
from app.remote.ssh_config import Endpoint
from app.remote.stream import RemoteStream
from app.remote.transport import ServiceTransport
from app.remote.upload import upload
from app.settings import Timeouts

MAX_OUTPUT_BYTES = 4 * 1024 * 1024
"""Of each output of a command. The longest answers, a list of wheels, have 1 MB."""
SEND_SECONDS = 10.0
"""How long a running command may take to read what it is sent: a line at a time."""

_TERMINAL_ONLY = (b"doesn't support PTY", b"does not support PTY")
"""What RunPod's proxy answers to every command."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit status (-1: a signal) and its output, with what the login shell printed."""

    exit_status: int
    stdout: bytes
    stderr: bytes


Noted = Callable[[int | None, str], None]
"""Called when a command has ended: its exit status, or in a word why that is not known."""


class CommandAudit(Protocol):
    """Notes the commands that run on an instance. Never raises."""

    def begin(self, argv: Sequence[str], user: str, why: str) -> Noted:
        """A command is about to be started; what is returned is called when it has ended, once or more often."""


def _nobody(_status: int | None, _why: str) -> None:
    """Nobody notes it."""


class RemoteHost:
    """One connection to an instance. For one thread at a time, but `close` may be called from any."""

    def __init__(
        self,
        transport: ServiceTransport,
        endpoint: Endpoint,
        host_key: HostKey,
        timeouts: Timeouts,
        *,
        via: RemoteHost | None = None,
    ) -> None:
        """Owns `transport` and the jump host's connection `via`."""
        self.endpoint = endpoint
        self.host_key = host_key
        self._transport = transport
        self._timeouts = timeouts
        self._via = via
        self.audit: CommandAudit | None = None
        """What notes the commands that run over this connection."""

    @property
    def is_alive(self) -> bool:
        """False when the connection is known to be over. True does not mean that the other side still answers."""
        return self._transport.is_active()

    @property
    def heard_at(self) -> float:
        """When the last byte came over this connection, in time.monotonic's seconds."""
        return self._transport.heard_at

    @property
    def broke_rules(self) -> bool:
        """Whether the connection was ended because the instance sent more than it may."""
        return self._transport.broke_rules

    def end_by(self, moment: float | None) -> None:
        """The connection ends at `moment` (time.monotonic's seconds): whoever waits on it then, for whatever, raises
        ConnectionLost within a second. None: not so. May be called from any thread."""
        self._transport.end_by(moment)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float, why: str = "") -> CommandResult:
        """Runs `argv`, quoted, through the login shell, and waits at most `timeout` seconds in all.

        A command that outlives the time limit goes on there. Raises CommandTimedOut, ConnectionLost, ExecNotSupported,
        ConnectFailed (no further session), TooMuchOutput.
        """
        end = time.monotonic() + timeout
        with self._noted(argv, why) as noted:
            channel = channels.start_exec(self._transport, quote_command(argv), timeout)
            try:
                exchange = channels.Exchange(channel, stdin, MAX_OUTPUT_BYTES)
                status = exchange.finish(end, timeout)
            finally:
                with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # a dead line: found out later
                    channel.close()
            noted(status)
        result = CommandResult(status, bytes(exchange.stdout), bytes(exchange.stderr))
        if status != 0 and any(words in result.stdout + result.stderr for words in _TERMINAL_ONLY):
            raise ExecNotSupported
        return result

    def run_script(
        self, script: str, *, args: Sequence[str] = (), stdin: bytes = b"", timeout: float, why: str = ""
    ) -> CommandResult:
        """Runs a fixed POSIX sh text; `args` are its $1, $2… Raises as `run` does."""
        return self.run(["sh", "-c", script, "sh", *args], stdin=stdin, timeout=timeout, why=why)

    def upload(self, content: bytes, *, folder: str, name: str, sha256: str, timeout: float) -> str:
        """Uploads `content` to `folder`/`name` (`~/`: the home folder), readable for the user only. Returns the path.

        It is written under another name, checked by its SHA-256 (hex) and renamed. An existing file with this hash is
        left untouched. Raises TransferFailed, and what `run` raises.
        """
        return upload(self, content, folder=folder, name=name, sha256=sha256, timeout=timeout)

    def stream(self, argv: Sequence[str], *, why: str = "") -> RemoteStream:
        """Starts a long-lived command. Raises as `run` does, within `timeouts.command` seconds."""
        ended = self._begin(argv, why)
        try:
            channel = channels.start_exec(self._transport, quote_command(argv), self._timeouts.command)
        except RemoteError as exc:
            ended(None, exc.code)
            raise
        return RemoteStream(channel, SEND_SECONDS, on_close=ended)

    def _begin(self, argv: Sequence[str], why: str) -> Noted:
        return self.audit.begin(argv, self.endpoint.user, why) if self.audit else _nobody

    @contextlib.contextmanager
    def _noted(self, argv: Sequence[str], why: str) -> Iterator[Callable[[int], None]]:
        """For a command: the block says its exit status."""
        ended = self._begin(argv, why)
        try:
            yield lambda status: ended(status, "")
        except RemoteError as exc:
            ended(None, exc.code)
            raise

    def open_tunnel(self, host: str, port: int, timeout: float) -> paramiko.Channel:
        """Opens a byte stream to `host`:`port` as seen from this host: for connecting through a jump host."""
        return channels.open_channel(self._transport, timeout, (host, port))

    def close(self) -> None:
        """Closes the connection. Whatever waits on it raises ConnectionLost. May be called again."""
        self._transport.close()
        if self._via is not None:
            self._via.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
