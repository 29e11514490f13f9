"""How fast, and how much in all, a connection is read: an instance that talks without end costs one thread's patience.

Everything that comes over a connection counts, whatever SSH calls it: what a command prints, and messages that no
command has asked for. A connection that is over its pace is read later, so that TCP lets the other side wait.
"""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.common import MSG_KEXINIT

from app.remote.turn import READING

MAX_PACKET_BYTES = 256 * 1024
"""RFC 4253 asks for 35,000, and OpenSSH sends up to this. paramiko itself would read 4 GiB into memory."""
MAX_GREETING_BYTES = 64 * 1024
"""What a server may send before and with its SSH version. OpenSSH's banner comes later."""
STUCK_SECONDS = 20.0
"""How long a server may take nothing of what is sent to it."""
_LOOK_SECONDS = 0.5
_READ_BYTES = 8 * 1024
"""How much is read at once. paramiko asks for a packet's head, its body and its end one by one."""
_KEY_EXCHANGE_COST = 200
"""Messages that a key exchange counts for: it costs as much time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Limits of what an instance may send: a second, at once, and in all."""

    bytes_per_second: float
    bytes_at_once: float
    messages_per_second: float
    messages_at_once: float
    total_bytes: int


INSTALL = Pace(4 * 1024**2, 64 * 1024**2, 1000, 20_000, 8 * 1024**3)
"""Of all connections of a task. 400 packs and 200 GB of models in 24 hours: 2 GB, at 0.4 MB a second with the logs."""
LOOK = Pace(4 * 1024**2, 16 * 1024**2, 1000, 5000, 64 * 1024**2)
"""Of a connection that asks a few questions. The longest answers, a list of wheels, have 1 MB."""


class Bucket:
    """Tokens that come at a rate, and are kept up to a number. For one thread at a time."""

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = self._level = most
        self._looked = time.monotonic()

    def spend(self, tokens: float) -> float:
        """Takes tokens, also those that are yet to come. Returns for how many seconds to wait until they are there."""
        now = time.monotonic()
        self._level = min(self._most, self._level + self._rate * (now - self._looked)) - tokens
        self._looked = now
        return max(0.0, -self._level / self._rate)


class Meter:
    """What has come over the connections of one task, or over one connection. Any thread."""

    def __init__(self, pace: Pace | None = None) -> None:
        """`pace`: None reads as fast as it comes, for what a person downloads or opens."""
        self.pace = pace
        self.received = 0
        self.refused = False
        """Whether a connection was ended because it broke the rules of SSH about how much may be sent."""
        self._lock = threading.Lock()
        if pace:
            self._bytes = Bucket(pace.bytes_per_second, pace.bytes_at_once)
            self._messages = Bucket(pace.messages_per_second, pace.messages_at_once)

    @property
    def exhausted(self) -> bool:
        """Whether more has come than may come."""
        return self.refused or (self.pace is not None and self.received > self.pace.total_bytes)

    def spend(self, count: int, messages: int = 0) -> float:
        """So many bytes and messages have come. Returns for how many seconds nothing more is to be read."""
        with self._lock:
            self.received += count
            if self.pace is None:
                return 0.0
            rest = self._bytes.spend(count) if count else 0.0
            return max(rest, self._messages.spend(messages)) if messages else rest


class MeteredSocket:
    """A socket (or a jump host's channel) that is read at the pace of `meter`, and that does not wait for ever for a
    server that reads nothing. paramiko's transport uses it from its own thread, and sends from any."""

    def __init__(self, sock: Any, meter: Meter) -> None:
        self._sock = sock
        self._meter = meter
        self._over = threading.Event()
        self._unread = b""
        self._turn = READING.next()
        self._working: threading.Lock | None = None
        """Held while the thread that reads works on what has come."""
        self._sent_at: float | None = None
        self.heard_at = time.monotonic()
        """When the last byte came."""
        self.end_at: float | None = None
        """When the connection ends, whatever comes and whoever waits for it. Any thread may set it."""

    @property
    def broke_rules(self) -> bool:
        """Whether the connection was ended because more was sent than may be."""
        return self._meter.exhausted

    def recv(self, size: int) -> bytes:
        """As a socket's. Raises OSError when the instance has sent too much in all, and at `end_at`."""
        self._check_end()
        content = self._unread or self._received(max(size, _READ_BYTES))
        self._unread = content[size:]
        return content[:size]

    def _received(self, most: int) -> bytes:
        self._leave()
        content: bytes = self._sock.recv(most)
        self.heard_at = time.monotonic()
        self.rest(self._meter.spend(len(content)))
        if self._meter.exhausted:
            raise OSError(errno.EFBIG, "the instance has sent too much")
        self._working = self._turn.enter()
        return content

    def _leave(self) -> None:
        """The thread that reads waits for something: others may work."""
        working, self._working = self._working, None
        if working is not None:
            working.release()

    def ended(self) -> None:
        """The thread that reads has ended."""
        self._leave()

    def refuse(self, what: str) -> paramiko.SSHException:
        """The error to raise where more is sent than there can be."""
        self._meter.refused = True
        return paramiko.SSHException(what)

    def came(self, messages: int) -> None:
        """So many messages have come; waits where they come too fast."""
        self.rest(self._meter.spend(0, messages))

    def send(self, content: bytes) -> int:
        """As a socket's. Raises OSError when the server has read nothing for `STUCK_SECONDS`, and at `end_at`."""
        self._check_end()
        try:
            sent: int = self._sock.send(content)
        except TimeoutError:
            now = time.monotonic()
            self._sent_at = self._sent_at or now
            if now - self._sent_at > STUCK_SECONDS:
                raise OSError(errno.EPIPE, "the instance reads nothing") from None
            raise
        self._sent_at = None
        return sent

    def shutdown(self, how: int) -> None:
        """As a socket's; ends a wait for the pace."""
        self._over.set()
        self._sock.shutdown(how)

    def close(self) -> None:
        """As a socket's; ends a wait for the pace."""
        self._over.set()
        self._sock.close()

    def rest(self, seconds: float) -> None:
        """Waits, unless it is closed, and not beyond `end_at`. For the thread that reads."""
        if seconds <= 0:
            return
        self._leave()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._over.wait(min(left, _LOOK_SECONDS)):
            self._check_end()

    def _check_end(self) -> None:
        if self.end_at is not None and time.monotonic() >= self.end_at:
            raise OSError(errno.ECONNABORTED, "the time of this connection is over")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class BoundedPacketizer(paramiko.packet.Packetizer):
    """Reads SSH packets of a size that there can be, at the pace of a MeteredSocket."""

    def __init__(self, sock: MeteredSocket) -> None:
        super().__init__(sock)  # type: ignore[arg-type]  # what it uses of a socket is there
        self._metered = sock
        self._greeted = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """As paramiko's. Raises SSHException for a packet that is too large."""
        if n > MAX_PACKET_BYTES:
            raise self._metered.refuse(f"a packet of {n} bytes")
        content: bytes = super().read_all(n, check_rekey)
        return content

    def read_message(self) -> Any:
        """As paramiko's."""
        kind, message = super().read_message()
        self._metered.came(_KEY_EXCHANGE_COST if kind == MSG_KEXINIT else 1)
        return kind, message

    def _read_timeout(self, timeout: float) -> bytes:
        """What comes before the first packet: lines that paramiko would read without a limit."""
        content: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeted += len(content)
        if self._greeted > MAX_GREETING_BYTES:
            raise self._metered.refuse("a greeting without an end")
        return content
