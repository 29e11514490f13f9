"""Finds the private keys that a login may use, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from app.domain.hostkeys import fingerprint_of
from app.remote.deadline import Deadline
from app.remote.ssh_config import Endpoint

DEFAULT_KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
MAX_KEYS = 20


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
    agent: paramiko.Agent | None = None

    def add(self, key: paramiko.PKey, place: str) -> None:
        """Appends `key` unless it is there already (a file and the agent often hold the same one)."""
        if len(self.candidates) < MAX_KEYS and all(key.asbytes() != other.key.asbytes() for other in self.candidates):
            self.candidates.append(KeyCandidate(key, f"{place} ({key.get_name()} {fingerprint_of(key.get_base64())})"))

    def close(self) -> None:
        """Ends the connection to the agent."""
        if self.agent is not None:
            self.agent.close()


def collect_keys(endpoint: Endpoint, key_files: Iterable[str], ssh_dir: Path, deadline: Deadline) -> KeyRing:
    """Collects keys from the address, the settings, `~/.ssh/config`, the agent, and then from the usual files.

    Raises ConnectFailed when the agent does not answer before the deadline.
    """
    ring = KeyRing()
    agent_keys: list[paramiko.AgentKey] = []
    try:
        ring.agent = deadline.call(paramiko.Agent, "SSH agent")
        agent_keys = list(ring.agent.get_keys())
    except (paramiko.SSHException, OSError) as exc:
        ring.problems.append(f"SSH agent: {exc}")
    for name in (*endpoint.identity_files, *key_files, *endpoint.config_identity_files):
        _add_file(ring, Path(name).expanduser(), agent_keys, wanted=True)
    if not (endpoint.identities_only and ring.candidates):
        for key in agent_keys:
            ring.add(key, _agent_place(key))
        for name in DEFAULT_KEY_NAMES:
            _add_file(ring, ssh_dir / name, agent_keys, wanted=False)
    return ring


def _add_file(ring: KeyRing, path: Path, agent_keys: list[paramiko.AgentKey], *, wanted: bool) -> None:
    """Adds the key in `path`, or the agent's copy of it when the file needs a passphrase."""
    try:
        ring.add(paramiko.PKey.from_path(path), str(path))
    except FileNotFoundError:
        if wanted:
            ring.problems.append(f"{path}: no such file")
    except (TypeError, paramiko.PasswordRequiredException):  # what cryptography and paramiko raise for encrypted keys
        _add_from_agent(ring, path, agent_keys)
    except (ValueError, OSError, paramiko.SSHException, UnknownKeyType, UnsupportedAlgorithm) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "not a readable private key"
        ring.problems.append(f"{path}: {reason}")


def _add_from_agent(ring: KeyRing, path: Path, agent_keys: list[paramiko.AgentKey]) -> None:
    """Adds the agent's copy of an encrypted key, which the public key file beside it identifies."""
    try:
        public = path.with_name(path.name + ".pub").read_text("utf-8").split()[1]
    except (OSError, ValueError, IndexError):
        public = ""
    for key in agent_keys:
        if key.get_base64() == public:
            ring.add(key, _agent_place(key))
            return
    ring.problems.append(f"{path}: needs a passphrase (add it to the SSH agent: ssh-add {path})")


def _agent_place(key: paramiko.AgentKey) -> str:
    comment = "".join(character for character in str(key.comment or "") if character.isprintable())
    return f"agent key {comment}".rstrip()
