"""The SSH handshake within a deadline, on a version of paramiko's Transport that wakes less often.

Private names of paramiko are used only here and in `channel.py`; a test checks that they exist.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, cMSG_GLOBAL_REQUEST
from paramiko.kex_curve25519 import KexCurve25519

from app.domain.errors import ConnectFailed
from app.remote.deadline import Deadline
from app.remote.pace import MAX_PACKET_BYTES, BoundedPacketizer, Meter, MeteredSocket

KEEPALIVE_SECONDS = 3
"""TCP_USER_TIMEOUT notices a lost connection only while data is under way."""

_MARGIN_SECONDS = 5.0
"""paramiko's own time limits are longer than our deadline, which has the better message."""

_JOIN_SECONDS = 2.0

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs tracebacks of what is raised to the caller anyway

SshSocket = socket.socket | paramiko.Channel


def _within_window(feed: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Takes what a server sends over a channel, as long as it keeps to the room that we have given it: what nobody has
    read yet is in memory."""

    def feed_checked(channel: Any, message: Any) -> None:
        if len(channel.in_buffer) + len(channel.in_stderr_buffer) > channel.in_window_size + MAX_PACKET_BYTES:
            raise channel.transport._metered.refuse("more than it may send")  # noqa: SLF001
        feed(channel, message)

    return feed_checked


_HANDLERS = paramiko.Transport._channel_handler_table  # type: ignore[attr-defined]  # noqa: SLF001
_ORDINARY_CIPHERS = tuple(
    name
    for name in paramiko.Transport._preferred_ciphers  # type: ignore[attr-defined]  # noqa: SLF001
    if "gcm" not in name
)


class ServiceTransport(paramiko.Transport):
    """A Transport that wakes ten times less often when idle, whose thread has ended when `close` returns, and that
    reads no more, and no faster, than it should."""

    _active_check_timeout = 1.0
    """Seconds; paramiko's 0.1 costs 22 % of a core for 1,000 idle connections."""

    # paramiko knows this key exchange by its older name only; some servers offer nothing but the newer one.
    _kex_info = paramiko.Transport._kex_info | {"curve25519-sha256": KexCurve25519}  # type: ignore[attr-defined]  # noqa: SLF001
    _preferred_kex = ("curve25519-sha256", *paramiko.Transport._preferred_kex)  # type: ignore[attr-defined]  # noqa: SLF001
    # These need no checksum besides the cipher, which paramiko would make and compare in Python: a third of a packet.
    _preferred_ciphers = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", *_ORDINARY_CIPHERS)
    _channel_handler_table = _HANDLERS | {
        number: _within_window(_HANDLERS[number]) for number in (MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA)
    }

    def __init__(self, sock: SshSocket, meter: Meter) -> None:
        """`meter` counts what comes, and says how fast it is read."""
        self._metered = MeteredSocket(sock, meter)
        super().__init__(self._metered, packetizer_class=BoundedPacketizer)  # type: ignore[arg-type]

    @property
    def heard_at(self) -> float:
        """When the last byte came, in time.monotonic's seconds."""
        return self._metered.heard_at

    @property
    def broke_rules(self) -> bool:
        """Whether the connection was ended because more was sent than may be."""
        return self._metered.broke_rules

    def run(self) -> None:
        """As paramiko's."""
        try:
            super().run()
        finally:
            self._metered.ended()

    def get_exception(self) -> Exception | None:
        """What ended the connection, as an error of SSH: paramiko stumbles over messages that nobody knows, and
        raises what it stumbled over in whoever waits."""
        found = super().get_exception()
        if found is None or isinstance(found, paramiko.SSHException | EOFError | OSError):
            return found
        return paramiko.SSHException(f"the other side breaks the rules of SSH ({type(found).__name__})")

    def end_by(self, moment: float | None) -> None:
        """The connection ends at `moment` (time.monotonic's seconds), to the second, whoever waits for it. Any
        thread."""
        self._metered.end_at = moment

    def set_keepalive(self, interval: float) -> None:
        """Asks for a sign of life whenever nothing was sent and nothing has come for `interval` seconds: every server
        answers, if only that it does not know the question."""
        mine = weakref.proxy(self)

        def ask() -> None:
            if time.monotonic() - mine.heard_at < interval:
                return
            message = paramiko.Message()
            message.add_byte(cMSG_GLOBAL_REQUEST)
            message.add_string("keepalive@openssh.com")
            message.add_boolean(True)
            mine._send_user_message(message)  # noqa: SLF001

        self.packetizer.set_keepalive(interval, ask)

    def close(self) -> None:
        """End the connection now. May be called from any thread, and again."""
        self.packetizer.complete_handshake()  # its timer thread would live on for the handshake's time limit
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # not connected any more
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the transport's thread; closing alone does not
        super().close()
        self.sock.close()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(_JOIN_SECONDS)


class ConnectionDropped(ConnectFailed):
    """The other side closed the connection during the SSH greeting. Another try at once often works."""


class NoCommonKeyType(ConnectFailed):
    """The instance has no host key of a type that was asked for, or no cipher in common with us."""


def handshake(
    sock: SshSocket, peer: str, deadline: Deadline, key_types: Sequence[str] = (), *, meter: Meter
) -> ServiceTransport:
    """An SSH connection over `sock`, not logged in. `key_types`: host key algorithms wanted first.

    Owns `sock` from here on. Raises ConnectFailed (ConnectionDropped, NoCommonKeyType).
    """
    transport = ServiceTransport(sock, meter)
    try:
        limit = deadline.remaining + _MARGIN_SECONDS
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = limit
        options = transport.get_security_options()
        known = list(options.key_types)
        first = [name for name in key_types if name in known]
        options.key_types = first + [name for name in known if name not in first]
        done = threading.Event()
        transport.start_client(event=done)
        deadline.wait(done, "SSH greeting")
        if not (transport.is_active() and transport.initial_kex_done):
            raise _failure(transport.get_exception(), peer)
    except BaseException:
        transport.close()
        raise
    return transport


def _failure(exc: Exception | None, peer: str) -> ConnectFailed:
    text = str(exc or "")
    if isinstance(exc, paramiko.ssh_exception.IncompatiblePeer):
        return NoCommonKeyType(f"{peer} and this machine support no common SSH algorithm: {text}.")
    if isinstance(exc, paramiko.SSHException) and ("protocol version" in text or "Invalid SSH banner" in text):
        return ConnectFailed(
            f"{peer} does not answer with SSH.", hint="Check the port: another program answers at this one."
        )
    if exc is None or isinstance(exc, EOFError | OSError) or "reading SSH protocol banner" in text:
        return ConnectionDropped(f"{peer} closes the connection before the SSH login. It is busy, or still starting.")
    return ConnectFailed(f"{peer} closed the connection during the SSH handshake: {text}.")
