"""The user's `~/.ssh/config`: which host, port, user, keys and jump host an address stands for.

paramiko's reader does the matching; what could run a command or ask a name server while reading is taken out before.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    """Where an address leads after `~/.ssh/config`, and which keys and jump host to use."""

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
    """`address` with what `ssh_dir/config` says about it; what the address says itself wins.

    Raises RemoteError, code `ssh_config_invalid` or `proxy_command_unsupported`.
    """
    path = ssh_dir / "config"
    try:
        found = paramiko.SSHConfig.from_text("\n".join(_lines(path, ssh_dir))).lookup(address.host)
        endpoint = _endpoint(address, found)
    except (paramiko.SSHException, ValueError, LookupError, OSError) as exc:
        raise RemoteError(
            f"{path} could not be read: {exc}.",
            code="ssh_config_invalid",
            hint="`ssh -G HOST` shows what ssh makes of it.",
        ) from exc
    if found.get("proxycommand") and endpoint.jump is None:
        raise RemoteError(
            f"{path} sets a ProxyCommand for {address.host}, which is not supported.",
            code="proxy_command_unsupported",
            hint="Use ProxyJump instead.",
        )
    return endpoint


def _endpoint(address: SshAddress, found: paramiko.SSHConfigDict) -> Endpoint:
    endpoint = Endpoint(
        host=found["hostname"],
        port=address.port or int(found.get("port", DEFAULT_PORT)),
        user=address.user or found.get("user", DEFAULT_USER),
        identity_files=address.identity_files,
        config_identity_files=tuple(name for name in found.get("identityfile", []) if name.lower() != "none"),
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        jump=address.jump or found.get("proxyjump"),
    )
    return replace(endpoint, jump=None) if (endpoint.jump or "").lower() == "none" else endpoint


def _lines(path: Path, ssh_dir: Path, depth: int = 0) -> Iterator[str]:
    """The lines of `path`, includes in their places, without what must not be evaluated."""
    block = "Host *"
    for line in _read(path):
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
    """Every file that `value` names. A block that one of them opens ends with it."""
    for pattern in shlex.split(value):
        path = Path(pattern).expanduser()
        base, relative = (Path(path.anchor), path.relative_to(path.anchor)) if path.is_absolute() else (ssh_dir, path)
        for file in sorted(base.glob(str(relative))):
            yield from _lines(file, ssh_dir, depth + 1)
            yield block


def _read(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_harmless(value: str) -> bool:
    """Whether a Match line has only criteria that are compared with words (never `exec`)."""
    words = iter(shlex.split(value))
    for word in words:
        criterion = word.removeprefix("!")
        if criterion in _MATCHES_WITH_VALUE:
            next(words, None)
        elif criterion not in _MATCHES_ALONE:
            return False
    return True
