"""The text of a stand-in's sshd configuration. Pure.

Format: sshd_config(5). Arguments are quoted because a folder may hold spaces, a proxy's password a `#`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PASSED_PREFIXES = ("PIP_", "UV_", "SSL_CERT_")
_PASSED_NAMES = frozenset(
    {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "NODEFERRY_NODE_REGISTRY"}
)
_PROXY_SUFFIX = "_proxy"
_LOOPBACK = "127.0.0.1,localhost"
_PENALTIES_SINCE = (9, 8)


@dataclass(frozen=True, slots=True)
class SshdOptions:
    """What the configuration depends on. `version` is OpenSSH's, major and minor."""

    port: int
    host_key: Path
    authorized_keys: Path
    set_env: Mapping[str, str]
    banner: Path | None = None
    login_shell: Path | None = None
    """What runs the commands in place of the account's own shell."""
    use_pam: bool = False
    version: tuple[int, int] = (0, 0)


def sshd_config(options: SshdOptions) -> str:
    """The configuration file: loopback, keys only, no SFTP (as on some rented hosts), else OpenSSH's defaults."""
    lines = [
        f"Port {options.port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {quoted(options.host_key)}",
        f"AuthorizedKeysFile {quoted(options.authorized_keys)}",
        "PidFile none",
        "PubkeyAuthentication yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "StrictModes no",
        f"UsePAM {'yes' if options.use_pam else 'no'}",
        "UseDNS no",
        "PermitUserRC no",
        "PrintMotd no",
        "LogLevel VERBOSE",
        # sshd honours the first SetEnv line only.
        "SetEnv " + " ".join(quoted(f"{name}={value}") for name, value in options.set_env.items()),
    ]
    if options.banner is not None:
        lines.append(f"Banner {quoted(options.banner)}")
    if options.login_shell is not None:
        # The account's shell hands the whole command on as one argument, as sshd gives it to a login shell.
        lines.append(f'ForceCommand exec {options.login_shell} -c "$SSH_ORIGINAL_COMMAND"')
    if options.version >= _PENALTIES_SINCE:
        lines.append("PerSourcePenalties no")  # every client here is 127.0.0.1: one bad key would lock out all
    return "\n".join(lines) + "\n"


def quoted(argument: object) -> str:
    """One argument as sshd_config reads it back."""
    text = str(argument)
    if "\n" in text or "\0" in text:
        raise ValueError("an argument of sshd_config cannot hold a line break")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def passed_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables that packages and clones on the stand-in need: pip's, uv's, certificates, proxies; and
    which registry of packs it may ask."""
    passed = {name: value for name, value in environ.items() if _is_passed(name) and "\n" not in value}
    if any(name.lower().endswith(_PROXY_SUFFIX) for name in passed):
        # git servers of demo and tests are on loopback, where no proxy leads
        for name in ("no_proxy", "NO_PROXY"):
            passed[name] = ",".join(filter(None, [passed.get(name, ""), _LOOPBACK]))
    return passed


def is_locked(shadow_text: str, user: str) -> bool:
    """Whether an sshd without PAM refuses this account: its password field in shadow(5) starts with `!`."""
    fields = [line.split(":") for line in shadow_text.splitlines()]
    return any(len(field) > 1 and field[0] == user and field[1].startswith("!") for field in fields)


def _is_passed(name: str) -> bool:
    return name.startswith(_PASSED_PREFIXES) or name in _PASSED_NAMES or name.lower().endswith(_PROXY_SUFFIX)
