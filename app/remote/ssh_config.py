"""Completes an address from the user's and the machine's ssh_config(5), as ssh does.

Nothing is run and no name server is asked: a `Match exec` never applies, and a ProxyCommand is refused.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain.address import SshAddress
from app.domain.errors import InvalidAddress, RemoteError
from app.domain.host_port import join_host_port
from app.remote import config_file
from app.remote.config_file import HostSettings, Local
from app.remote.config_words import expand, matches, without_home

DEFAULT_PORT = 22
DEFAULT_USER = "root"
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
AGENT_VARIABLE = "SSH_AUTH_SOCK"
_OFF = frozenset({"no", "off", "false"})


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
    certificate_files: tuple[str, ...] = ()
    agent: str | None = None
    """The agent's socket; None: there is none."""
    known_hosts_files: tuple[str, ...] | None = None
    """Of UserKnownHostsFile and GlobalKnownHostsFile; None: the usual ones."""
    host_key_alias: str | None = None
    """The name under which known_hosts has the machine."""
    refused_algorithms: tuple[str, ...] = ()
    """Signature algorithms that PubkeyAcceptedAlgorithms leaves out."""
    any_host_key: bool = False
    """StrictHostKeyChecking no: a key that known_hosts does not have is no reason to stop."""

    def __str__(self) -> str:
        return f"{self.user}@{join_host_port(self.host, self.port)}"


def this_user() -> Local:
    """Who runs this program. In a container it may be a number that no file of accounts knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Local(Path.home(), user, os.environ)


def resolve(
    address: SshAddress, ssh_dir: Path, local: Local | None = None, system_config: Path | None = None
) -> Endpoint:
    """Completes `address` from `ssh_dir/config`, then from `system_config`. What the address says itself wins.

    Raises RemoteError, code `ssh_config_invalid` or `proxy_command_unsupported`.
    """
    path = ssh_dir / "config"
    local = local or this_user()
    file = without_home(str(path), str(local.home))
    try:
        files = [path, *([system_config] if system_config else [])]
        found = config_file.read(address.host, address.user, files, local)
        endpoint = _endpoint(address, found, local)
    except (ValueError, OSError, InvalidAddress) as exc:
        said = without_home(str(exc).rstrip("."), str(local.home))
        said = "".join(letter if letter.isprintable() else "?" for letter in said)
        raise RemoteError(
            f"Your SSH settings ({file}) have a mistake: {said}.",
            code="ssh_config_invalid",
            hint="Correct that file. `ssh -G HOST` shows what ssh reads from it.",
        ) from exc
    if endpoint.jump is None and address.jump is None and found.first("proxycommand", "none").lower() != "none":
        raise RemoteError(
            f"Your SSH settings ({file}) use a ProxyCommand for {address.host}, which Nodeferry does not support.",
            code="proxy_command_unsupported",
            hint="Nodeferry runs no program on this machine. Use ProxyJump there instead.",
        )
    return endpoint


def _endpoint(address: SshAddress, found: HostSettings, local: Local) -> Endpoint:
    """Raises ValueError for values that cannot be, OSError."""
    host = _checked("host name", config_file.hostname_of(found))
    port = address.port or _port(found.first("port", str(DEFAULT_PORT)))
    user = _checked("user", address.user or found.first("user", DEFAULT_USER))
    tokens = _tokens(found, host, port, user, local)

    def path(text: str) -> str:
        return expand(text, home=str(local.home), tokens=tokens, environ=local.environ)

    jump = address.jump or found.first("proxyjump", "none")
    jump_tokens = {name: tokens[name] for name in "hnpr"}
    known_hosts = [
        name
        for keyword in ("userknownhostsfile", "globalknownhostsfile")
        for name in found.options.get(keyword, _USUAL_KNOWN_HOSTS[keyword])
        if name.lower() != "none"
    ]
    asked = "userknownhostsfile" in found.options or "globalknownhostsfile" in found.options
    return Endpoint(
        host=host,
        port=port,
        user=user,
        identity_files=tuple(path(name) for name in address.identity_files),
        config_identity_files=tuple(
            path(name) for name in found.options.get("identityfile", []) if name.lower() != "none"
        ),
        identities_only=found.is_on("identitiesonly"),
        jump=None if jump.lower() == "none" else expand(jump, home="~", tokens=jump_tokens),
        certificate_files=tuple(path(name) for name in found.options.get("certificatefile", [])),
        agent=_agent(found.first("identityagent", AGENT_VARIABLE), path, local),
        known_hosts_files=tuple(path(name) for name in known_hosts) if asked else None,
        host_key_alias=_checked("alias", found.first("hostkeyalias", found.original))
        if "hostkeyalias" in found.options
        else None,
        refused_algorithms=_refused_algorithms(
            found.first("pubkeyacceptedalgorithms", found.first("pubkeyacceptedkeytypes"))
        ),
        any_host_key=found.first("stricthostkeychecking").lower() in _OFF,
    )


def _port(text: str) -> int:
    """Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65_535):
        raise ValueError(f"{text!r} is no port")
    return int(text)


def _checked(what: str, text: str) -> str:
    """`text` if it can be a name. Raises ValueError."""
    if not text or text.startswith("-") or not text.isprintable() or any(letter.isspace() for letter in text):
        raise ValueError(f"{text!r} is no {what}")
    return text


_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")


def _refused_algorithms(asked: str) -> tuple[str, ...]:
    """Which of the algorithms that one RSA key can sign with are not wanted."""
    patterns = asked.removeprefix("-").split(",")
    if not asked or asked[0] in "+^":
        return ()
    return tuple(name for name in _RSA_ALGORITHMS if matches(name, patterns) == asked.startswith("-"))


_USUAL_KNOWN_HOSTS: Mapping[str, list[str]] = {
    "userknownhostsfile": ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"],
    "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"],
}


def _tokens(found: HostSettings, host: str, port: int, user: str, local: Local) -> dict[str, str]:
    """What `%h` and the like stand for. `%C` and `%f` are for sockets of ssh itself and not known here."""
    name = socket.gethostname()
    return {
        "d": str(local.home),
        "h": host,
        "i": str(os.getuid()),
        "k": found.first("hostkeyalias", found.original),
        "L": name.partition(".")[0],
        "l": name,
        "n": found.original,
        "p": str(port),
        "r": user,
        "u": local.user,
        "j": found.first("proxyjump"),
    }


def _agent(value: str, path: Callable[[str], str], local: Local) -> str | None:
    if value.lower() == "none":
        return None
    if value == AGENT_VARIABLE:
        return local.environ.get(AGENT_VARIABLE) or None
    if value.startswith("$") and not value.startswith("${"):
        return local.environ.get(value[1:]) or None
    return path(value)
