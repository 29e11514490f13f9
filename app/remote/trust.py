"""Decides which host keys are accepted: pinned ones, else those in known_hosts, else the first one is pinned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from app.domain.errors import HostKeyMismatch, HostKeyUnknown, RemoteError
from app.domain.hostkeys import HostKey, HostKeyPins, fingerprint_of, same_fingerprint
from app.remote import known_hosts
from app.remote.ssh_config import Endpoint
from app.small_files import UnusableFile

_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")
KEY_TYPE_FAMILIES: tuple[tuple[str, ...], ...] = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    _RSA_ALGORITHMS,
)
"""The host key algorithms to ask for, one after another, to find the key with a given fingerprint."""


@dataclass(frozen=True, slots=True)
class HostKeyTrust:
    """Checks the host keys that instances present. As thread-safe as `pins`."""

    pins: HostKeyPins
    known_hosts_files: tuple[Path, ...]
    now: Callable[[], float]

    def preferred_types(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The host key algorithms of the known keys, so that the server presents a key that can be compared. Raises
        RemoteError, code `known_hosts_unusable`."""
        known, _ = self._known(endpoint)
        return tuple(
            name for key in known for name in (_RSA_ALGORITHMS if key.key_type == "ssh-rsa" else (key.key_type,))
        )

    def check(self, endpoint: Endpoint, presented: HostKey, *, asks_first: bool = False) -> None:
        """Accepts `presented`, and pins it when no key is known yet; `asks_first`: a person decides about that. Raises
        HostKeyMismatch with both fingerprints, HostKeyUnknown, and RemoteError (`known_hosts_unusable`)."""
        known, revoked = self._known(endpoint)
        if presented.key_base64 in revoked:
            raise HostKeyMismatch(
                f"{presented.address} has the key {_text(presented)}, which your known_hosts marks as revoked.",
                code="host_key_revoked",
                hint="Do not use this machine. If the mark is wrong, remove the @revoked line from known_hosts.",
            )
        if not known and asks_first and not endpoint.any_host_key:
            raise _unknown(presented)
        if not known or (endpoint.any_host_key and not self.pins.find(endpoint.host, endpoint.port)):
            known = self.pins.add_first(presented)  # another connection may have met the address a moment ago
        if all(key.key_base64 != presented.key_base64 for key in known):
            raise _mismatch(presented, known)

    def check_sha256(self, presented: Sequence[HostKey], expected: str) -> None:
        """Accepts the last key of `presented` when it has the expected fingerprint, and pins it in place of others.

        Raises HostKeyMismatch naming every key that the server has presented.
        """
        newest = presented[-1]
        if not same_fingerprint(newest.sha256, expected):
            found = ", ".join(_text(key) for key in presented)
            raise HostKeyMismatch(
                f"{newest.address} identifies itself with {found}, not with the key that you asked for: {expected}.",
                hint="Compare it on the instance's console: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub",
            )
        pinned = self.pins.find(newest.host, newest.port)
        if all(key.key_base64 != newest.key_base64 for key in pinned):
            self.pins.replace(newest)

    def shown_by(self, transport: paramiko.Transport, endpoint: Endpoint, source: str = "accept-new") -> HostKey:
        """The host key of a connection after its key exchange."""
        key = transport.get_remote_server_key()
        text = key.get_base64()
        return HostKey(endpoint.host, endpoint.port, key.get_name(), text, fingerprint_of(text), self.now(), source)

    def _known(self, endpoint: Endpoint) -> tuple[list[HostKey], frozenset[str]]:
        files = self.known_hosts_files
        if endpoint.known_hosts_files is not None:
            files = tuple(Path(name) for name in endpoint.known_hosts_files)
        try:
            written = known_hosts.look_up(files, endpoint.host, endpoint.port, endpoint.host_key_alias)
        except UnusableFile as exc:
            raise RemoteError(f"Your known hosts cannot be read: {exc}.", code="known_hosts_unusable") from exc
        return self.pins.find(endpoint.host, endpoint.port) or written.keys, written.revoked


def _unknown(presented: HostKey) -> HostKeyUnknown:
    message = f"{presented.address} is met for the first time. It identifies itself with {_text(presented)}."
    error = HostKeyUnknown(message)
    error.presented = presented
    return error


def _mismatch(presented: HostKey, known: Sequence[HostKey]) -> HostKeyMismatch:
    error = _described(presented, known)
    error.presented, error.known = presented, tuple(known)
    return error


def _described(presented: HostKey, known: Sequence[HostKey]) -> HostKeyMismatch:
    names = ", ".join(_text(key) for key in known)
    message = f"{presented.address} identifies itself with {_text(presented)}, but Nodeferry knows it by {names}."
    files = [key.source for key in known if "/" in key.source]
    if not files:
        return HostKeyMismatch(message)
    name = known_hosts.name_of(presented.host, presented.port)
    return HostKeyMismatch(
        message,
        hint=f"The known key is in {files[0]}. If you have rented a new machine, remove the old key with ssh-keygen -f "
        f"{files[0]} -R '{name}'. If you have not, somebody may be listening in: do not go on.",
    )


def _text(key: HostKey) -> str:
    return f"{key.key_type} {key.sha256}"
