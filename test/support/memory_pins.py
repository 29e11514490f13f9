"""Trusted host keys that last as long as the object, for tests that need no database."""

from __future__ import annotations

import threading

from app.domain.hostkeys import HostKey


class MemoryPins:
    """HostKeyPins that last as long as the object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[HostKey] = []

    def find(self, host: str, port: int) -> list[HostKey]:
        """See HostKeyPins."""
        with self._lock:
            return [key for key in self._keys if (key.host, key.port) == (host, port)]

    def has_from_before(self, *keys: HostKey) -> None:
        """As an earlier version pinned keys: several for one address."""
        with self._lock:
            self._keys += keys

    def add_first(self, key: HostKey) -> list[HostKey]:
        """See HostKeyPins."""
        with self._lock:
            known = [each for each in self._keys if (each.host, each.port) == (key.host, key.port)]
            if not known:
                self._keys.append(key)
            return known or [key]

    def replace(self, key: HostKey) -> None:
        """See HostKeyPins."""
        with self._lock:
            same = [each for each in self._keys if _identity(each) == _identity(key)]
            others = [each for each in self._keys if (each.host, each.port) != (key.host, key.port)]
            self._keys = [*others, *(same or [key])]

    def forget(self, host: str, port: int) -> int:
        """See HostKeyPins."""
        with self._lock:
            kept = [key for key in self._keys if (key.host, key.port) != (host, port)]
            gone = len(self._keys) - len(kept)
            self._keys = kept
            return gone

    def all(self) -> list[HostKey]:
        """See HostKeyPins."""
        with self._lock:
            return list(self._keys)


def _identity(key: HostKey) -> tuple[str, int, str, str]:
    return key.host, key.port, key.key_type, key.key_base64
