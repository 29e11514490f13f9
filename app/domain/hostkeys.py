"""Host keys that instances have shown, and where they are kept."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Protocol

from app.domain.host_port import join_host_port


@dataclass(frozen=True, slots=True)
class HostKey:
    """One public host key of one address. `sha256` is written as ssh-keygen prints it; `added_at` is Unix seconds."""

    host: str
    port: int
    key_type: str
    key_base64: str
    sha256: str
    added_at: float = 0
    source: str = "accept-new"
    """How it came here: `accept-new`, `accepted` (by a person), `known_hosts`, `scan`."""

    @property
    def address(self) -> str:
        """`host:port`, as messages name it."""
        return join_host_port(self.host, self.port)


class HostKeyPins(Protocol):
    """The keys that are trusted, by host (as in the resolved address) and port. To be used from any thread."""

    def find(self, host: str, port: int) -> list[HostKey]:
        """The keys pinned for this address, oldest first."""

    def add_first(self, key: HostKey) -> list[HostKey]:
        """Pin `key` unless the address has a key already, at once; the keys that it has then."""

    def replace(self, key: HostKey) -> None:
        """Pin `key` in place of the others of its address, at once; if it is pinned already, it stays as it is."""

    def forget(self, host: str, port: int) -> int:
        """Unpin every key of this address; how many there were."""

    def all(self) -> list[HostKey]:
        """Every pinned key, oldest first."""


def fingerprint_of(key_base64: str) -> str:
    """`SHA256:…` of a public key's base64 text, as ssh-keygen prints it. Raises ValueError when it is not base64."""
    try:
        blob = base64.b64decode(key_base64, validate=True)
    except ValueError as exc:  # not ASCII, or not base64
        raise ValueError("not base64") from exc
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def same_fingerprint(one: str, other: str) -> bool:
    """Whether two SHA256 fingerprints are the same, with or without `SHA256:` and base64 padding."""
    return _bare(one) == _bare(other)


def _bare(fingerprint: str) -> str:
    text = fingerprint.strip()
    if text[:7].upper() == "SHA256:":
        text = text[7:]
    return text.rstrip("=")
