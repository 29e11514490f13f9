"""Reads `~/.ssh/config`: which host, port, user, keys and jump host an address stands for.

paramiko does the matching. Lines that could run a command or ask a name server are removed before.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from app.domain.address import SshAddress
from app.domain.errors import RemoteError
from app.domain.host_port import join_host_port

DEFAULT_PORT = 22
DEFAULT_USER = "root"

_LINE = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.+)")  # the same as paramiko's
_DROPPED = re.compile(r"canonicali[sz]e\w*|canonicaldomains", re.IGNORECASE)
_MATCHES_ALONE = frozenset({"all", "canonical", "final"})
_MATCHES_WITH_VALUE = frozenset({"host", "originalhost", "user", "localuser"})
_NEVER = "Host !*"
"""A block that applies to no host: stands for `Match exec` and criteria that paramiko does not know."""
_MAX_INCLUDE_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The real host, port and user behind an address, with the keys and the jump host to use."""

    host: str
    port: int
    user: str
    identity_files: tuple[str, ...] = ()
    """Of the address itself."""
    config_identity_files: tuple[str, ...] = ()
    """Of `~/.ssh/config`."""
    identities_only: bool = False
    jump: str | None = None

    def __str__(self) -> str:
        return f"{self.user}@{join_host_port(self.host, self.port)}"


def resolve(address: SshAddress, ssh_dir: Path) -> Endpoint:
    """Completes `address` from `ssh_dir/config`. What the address says itself wins.

    Raises RemoteError, code `ssh_config_invalid` or `proxy_command_unsupported`.
    """
    path = ssh_dir / "config"
    try:
        found = paramiko.SSHConfig.from_text("\n".join(_lines(path, ssh_dir))).lookup(address.host)
        jump = address.jump or found.get("proxyjump") or "none"
        endpoint = Endpoint(
            host=found["hostname"],
            port=address.port or int(found.get("port", DEFAULT_PORT)),
            user=address.user or found.get("user", DEFAULT_USER),
            identity_files=address.identity_files,
            config_identity_files=tuple(name for name in found.get("identityfile", []) if name.lower() != "none"),
            identities_only=found.get("identitiesonly", "no").lower() == "yes",
            jump=None if jump.lower() == "none" else jump,
        )
    except (paramiko.SSHException, ValueError, LookupError, OSError) as exc:
        raise RemoteError(
            f"Your SSH settings ({path}) have a mistake: {exc}.",
            code="ssh_config_invalid",
            hint="Correct that file. `ssh -G HOST` shows what ssh reads from it.",
        ) from exc
    if found.get("proxycommand") and endpoint.jump is None:
        raise RemoteError(
            f"Your SSH settings ({path}) use a ProxyCommand for {address.host}, which Nodeferry does not support.",
            code="proxy_command_unsupported",
            hint="Use ProxyJump there instead.",
        )
    return endpoint


def _lines(path: Path, ssh_dir: Path, depth: int = 0) -> Iterator[str]:
    """Yields the lines of `path` and of the files that it includes, without those that must not be evaluated."""
    block = "Host *"
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in lines:
        match = _LINE.match(line.strip())
        keyword, value = (match.group(1).lower(), match.group(2)) if match else ("", "")
        if keyword == "include" and depth < _MAX_INCLUDE_DEPTH:
            yield from _included(value, block, ssh_dir, depth)
        elif keyword in ("host", "match"):
            block = _NEVER if keyword == "match" and not _is_harmless(value) else line
            yield block
        elif not _DROPPED.fullmatch(keyword):
            yield line


def _included(value: str, block: str, ssh_dir: Path, depth: int) -> Iterator[str]:
    """Yields the lines of every file that `value` names. A block that a file opens ends with that file."""
    for pattern in shlex.split(value):
        path = Path(pattern).expanduser()
        base, relative = (Path(path.anchor), path.relative_to(path.anchor)) if path.is_absolute() else (ssh_dir, path)
        for file in sorted(base.glob(str(relative))):
            yield from _lines(file, ssh_dir, depth + 1)
            yield block


def _is_harmless(value: str) -> bool:
    """Whether a Match line only compares words (and runs nothing, as `exec` would)."""
    words = iter(shlex.split(value))
    for word in words:
        criterion = word.removeprefix("!")
        if criterion in _MATCHES_WITH_VALUE:
            next(words, None)
        elif criterion not in _MATCHES_ALONE:
            return False
    return True
