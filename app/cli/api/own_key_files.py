"""The key files that an SSH command names: the caller's, wherever the service runs that reads them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from app.cli.api.client import is_loopback
from app.cli.errors import CliError
from app.domain.address import SshAddress, parse_address
from app.domain.errors import InvalidAddress

_FIELD = "SSH_COMMAND"


def with_own_key_files(ssh_command: str, server: str | None) -> str:
    """The SSH command with its key files' whole paths. `server`: what `--server` says; the files of a service on
    another machine are not looked at. Raises CliError for a file that is not there, and passes on what is no SSH
    command."""
    if server and not is_loopback(urlsplit(server).hostname or ""):
        return ssh_command
    try:
        address = parse_address(ssh_command)
    except InvalidAddress:
        return ssh_command  # the service says what is wrong with it
    for typed in address.identity_files:
        if _is_relative(typed) or server is None:
            _check(typed)
    return _written(ssh_command, address)


def _written(ssh_command: str, address: SshAddress) -> str:
    files = tuple(os.path.abspath(typed) if _is_relative(typed) else typed for typed in address.identity_files)
    if files == address.identity_files:
        return ssh_command
    text = str(replace(address, identity_files=files))
    return text if text.startswith("ssh ") else f"ssh {text}"


def _is_relative(typed: str) -> bool:
    """Whether a path depends on the folder that one is in. The other signs are ssh's own, and for the service."""
    return not typed.startswith(("/", "~", "%", "$"))


def _check(typed: str) -> None:
    """Raises CliError for a file that is not there. An agent's key may have its public half alone."""
    path = os.path.expanduser(typed)
    if any(sign in path for sign in "%$") or any(map(os.path.exists, (path, f"{path}.pub"))):
        return
    usual = Path("~/.ssh") / os.path.basename(path)
    if usual.expanduser().exists():
        hint = f"{usual} is there: -i {usual}"
    elif _is_relative(typed):
        hint = f"Its path begins at the folder that you are in, {os.getcwd()}. Keys are usually in ~/.ssh."
    else:
        hint = "Correct the path, or leave -i out: then your agent's keys and those in ~/.ssh are tried."
    raise CliError(f"There is no key file {typed}.", hint=hint, field=_FIELD)
