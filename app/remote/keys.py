"""Finds the keys and certificates that a login may use, in the order in which they are tried."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from app.domain.hostkeys import fingerprint_of
from app.remote.agent import Agent, AgentKey
from app.remote.deadline import Deadline
from app.remote.key_files import (
    CERTIFICATE_MARK,
    Certificate,
    UnusableKey,
    certificate_in,
    certified_key,
    read_certificate,
    read_private_key,
)
from app.remote.ssh_config import Endpoint

DEFAULT_KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk", "id_nodeferry")
MAX_KEYS = 40
_CERTIFICATE_ENDING = "-cert.pub"


@dataclass(frozen=True, slots=True)
class KeyCandidate:
    """A key to try; `label` says where it is from and its fingerprint, and never holds key material."""

    key: paramiko.PKey
    label: str


@dataclass(slots=True)
class KeyRing:
    """The keys to try for one login, and the ones that cannot be used, with reasons. Call `close` after the login."""

    candidates: list[KeyCandidate] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    named_missing: bool = False
    """Whether the address names key files, and none of them is there."""
    agent: Agent | None = None

    def add(self, key: paramiko.PKey, place: str) -> None:
        """Appends `key` unless it is there already (a file and the agent often hold the same one)."""
        offered = offered_by(key)
        if len(self.candidates) < MAX_KEYS and all(offered != offered_by(other.key) for other in self.candidates):
            blob = key.public_blob
            kind = blob.key_type if blob else key.get_name()
            kind = f"certificate of {place}" if CERTIFICATE_MARK.decode() in kind else f"{place}"
            self.candidates.append(KeyCandidate(key, f"{kind} ({key.get_name()} {fingerprint_of(key.get_base64())})"))

    def close(self) -> None:
        """Ends the connection to the agent."""
        if self.agent is not None:
            self.agent.close()


def offered_by(key: paramiko.PKey) -> bytes:
    """The public key or certificate that a server gets to see."""
    return bytes(key.public_blob.key_blob) if key.public_blob else key.asbytes()


def collect_keys(endpoint: Endpoint, key_files: Iterable[str], ssh_dir: Path, deadline: Deadline) -> KeyRing:
    """Collects keys from the address, the settings, `~/.ssh/config`, the agent, and then from the usual files.

    Raises ConnectFailed when the agent does not answer before the deadline.
    """
    return _Collector(endpoint, ssh_dir, deadline).collect(key_files)


class _Collector:
    """Fills one KeyRing."""

    def __init__(self, endpoint: Endpoint, ssh_dir: Path, deadline: Deadline) -> None:
        self._endpoint = endpoint
        self._ssh_dir = ssh_dir
        self._ring = KeyRing()
        self._agent_keys = self._ask_agent(deadline) if endpoint.agent else []
        self._certificates: list[Certificate] = []
        for name in endpoint.certificate_files:
            self._add_certificate(Path(name))

    def collect(self, key_files: Iterable[str]) -> KeyRing:
        named = [
            *self._endpoint.identity_files,
            *(str(Path(name).expanduser()) for name in key_files),
            *self._endpoint.config_identity_files,
        ]
        for name in named:
            self._add_file(Path(name), wanted=True)
        files = [Path(name) for name in self._endpoint.identity_files]
        self._ring.named_missing = bool(files) and not any(_is_there(path) for path in files)
        only_named = self._endpoint.identities_only and bool(self._ring.candidates)
        if not only_named:
            for key in self._agent_keys:
                self._add_agent_key(key)
            for name in DEFAULT_KEY_NAMES:
                self._add_file(self._ssh_dir / name, wanted=False)
        self._name_what_is_alone()
        return self._ring

    def _ask_agent(self, deadline: Deadline) -> list[AgentKey]:
        path = str(self._endpoint.agent)

        def ask() -> tuple[Agent, list[AgentKey]]:
            agent = Agent(path, deadline.remaining)
            try:
                return agent, agent.keys()
            except BaseException:
                agent.close()
                raise

        try:
            self._ring.agent, keys = deadline.call(ask, "SSH agent")
        except (paramiko.SSHException, OSError) as exc:
            self._ring.problems.append(f"SSH agent: {exc}")
            return []
        return keys

    def _add_certificate(self, path: Path) -> None:
        try:
            self._certificates.append(read_certificate(path))
        except FileNotFoundError:
            self._ring.problems.append(f"{path}: no such file")
        except UnusableKey as exc:
            self._ring.problems.append(f"{path}: {exc}")

    def _add_file(self, path: Path, *, wanted: bool) -> None:
        """Adds the key in `path` with its certificates, or the agent's copy of it when the file cannot be used."""
        if path.name.endswith(_CERTIFICATE_ENDING):
            certificate = certificate_in(path)
            if certificate is not None:
                self._certificates.append(certificate)
                path = path.with_name(path.name.removesuffix(_CERTIFICATE_ENDING))
        own = certificate_in(path.with_name(path.name + _CERTIFICATE_ENDING))
        if own is not None:
            self._certificates.append(own)
        try:
            self._add_key(read_private_key(path), str(path))
        except FileNotFoundError:
            if not self._add_from_agent(_public_of_missing(path)) and wanted:
                self._ring.problems.append(f"{path}: no such file")
        except UnusableKey as exc:
            if not self._add_from_agent(exc.public):
                self._ring.problems.append(f"{path}: {exc}")

    def _add_key(self, key: paramiko.PKey, place: str) -> None:
        """A server may refuse a certificate and accept the key in it, so both are tried."""
        self._ring.add(key, place)
        for certificate in self._of(key.asbytes()):
            self._ring.add(certificate.on(key), place)

    def _add_agent_key(self, key: AgentKey) -> None:
        place = f"agent key {_printable(key.comment)}".rstrip()
        self._ring.add(key, place)
        for certificate in self._of(key.asbytes()):
            self._ring.add(key.with_certificate(certificate.blob), place)

    def _add_from_agent(self, public: bytes | None) -> bool:
        """Adds what the agent has of this public key: the key, and certificates of it."""
        if public is None:
            return False
        certified = certified_key(public) if CERTIFICATE_MARK in public[:64] else None
        mine = [
            key
            for key in self._agent_keys
            if key.asbytes() in (public, certified) or certified_key(key.asbytes()) == public
        ]
        for key in mine:
            self._add_agent_key(key)
        return bool(mine)

    def _of(self, public: bytes) -> list[Certificate]:
        return [certificate for certificate in self._certificates if certified_key(certificate.blob) == public]

    def _name_what_is_alone(self) -> None:
        """A certificate whose key is nowhere is of no use, and nobody would notice."""
        offered = {offered_by(candidate.key) for candidate in self._ring.candidates}
        for certificate in self._certificates:
            if certificate.blob not in offered:
                self._ring.problems.append(f"{certificate.path}: a certificate whose private key is not there")


def _is_there(path: Path) -> bool:
    """Whether a key file, or the public half of one that an agent has, can be looked at."""
    return any(map(os.path.exists, (path, path.with_name(path.name + ".pub"))))


def _public_of_missing(path: Path) -> bytes | None:
    """The public key of a private one that only an agent has: beside its name there is a .pub file."""
    try:
        read_private_key(path.with_name(path.name + ".pub"))
    except UnusableKey as exc:
        return exc.public
    except OSError:
        pass
    return None


def _printable(comment: str) -> str:
    return "".join(character for character in comment[:200] if character.isprintable())
