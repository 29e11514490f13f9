"""How often wrong tokens may be tried: by one address, and by all together. Only a token that a person has chosen can
be guessed; those that were made here are let in however many wrong ones come.

For each address two rates are kept: of all failures, which are answered with 429, and of different guesses, after which
its guesses are not even looked at. A script with an old token so keeps nobody else at its address out.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

PER_ADDRESS = 10
IN_ALL = 100
"""How many may fail in a row, and how many more in each minute after that."""
MINUTE = 60.0
MAX_ADDRESSES = 4096
MAX_WELCOME = 1024
_REMEMBERED = 4


class _Rate:
    """A number of failures that leaks away within a minute."""

    __slots__ = ("_at", "_level", "_most")

    def __init__(self, most: int, now: float) -> None:
        self._most, self._level, self._at = most, 0.0, now

    def add(self, now: float) -> None:
        self._leak(now)
        self._level = min(float(self._most), self._level + 1.0)

    def wait(self, now: float) -> float:
        """Seconds until one more may fail; 0 for now."""
        self._leak(now)
        return max(0.0, self._level + 1.0 - self._most) * MINUTE / self._most

    def _leak(self, now: float) -> None:
        self._level = max(0.0, self._level - (now - self._at) * self._most / MINUTE)
        self._at = now


class _Address:
    """What is known of one address. `seen`: digests of its last wrong tokens."""

    __slots__ = ("failures", "guesses", "seen")

    def __init__(self, now: float) -> None:
        self.failures, self.guesses = _Rate(PER_ADDRESS, now), _Rate(PER_ADDRESS, now)
        self.seen: list[str] = []


class LoginAttempts:
    """Any thread; memory for a bounded number of addresses. An IPv6 network of 64 bits counts as one address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._welcome: OrderedDict[str, None] = OrderedDict()
        self._in_all = _Rate(IN_ALL, clock())

    def wait(self, client: str) -> float:
        """Seconds after which a wrong token of this address is worth an answer again; 0 for now."""
        with self._lock:
            now, address = self._clock(), self._addresses.get(_group(client))
            return max(address.failures.wait(now) if address else 0.0, self._in_all.wait(now))

    def may_guess(self, client: str, *, strict: bool) -> bool:
        """Whether a token of this address may be compared with one that a person has chosen. `strict`: that one is so
        short that guesses from many addresses count together; who was let in before is exempt."""
        with self._lock:
            now, group = self._clock(), _group(client)
            address = self._addresses.get(group)
            if address and address.guesses.wait(now):
                return False
            return not strict or group in self._welcome or not self._in_all.wait(now)

    def failed(self, client: str, digest: str) -> None:
        """A token was wrong."""
        with self._lock:
            now, group = self._clock(), _group(client)
            address = self._addresses.setdefault(group, _Address(now))
            self._addresses.move_to_end(group)
            _shorten(self._addresses, MAX_ADDRESSES)
            address.failures.add(now)
            self._in_all.add(now)
            if digest not in address.seen:
                address.guesses.add(now)
                address.seen = [*address.seen[1 - _REMEMBERED :], digest]

    def succeeded(self, client: str) -> None:
        """A token was right."""
        with self._lock:
            group = _group(client)
            self._welcome[group] = None
            self._welcome.move_to_end(group)
            _shorten(self._welcome, MAX_WELCOME)


def _shorten(found: OrderedDict[str, _Address] | OrderedDict[str, None], most: int) -> None:
    while len(found) > most:
        found.popitem(last=False)


def _group(client: str) -> str:
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
