"""Which ComfyUI on which machine: said before anything is changed, and asked where it is in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from app.cli.api.client import is_loopback
from app.cli.api.watching import Display, Progress
from app.cli.view.result import show_text
from app.domain.address import SshAddress, parse_address
from app.domain.errors import InvalidAddress, RemoteError
from app.protocol.terminal_text import one_line
from app.remote.ssh_config import resolve

_PROBE = "probe"


def careful(asked: Mapping[str, Any], ssh_command: str) -> dict[str, Any]:
    """What is asked for, with how sure the run is to be of ComfyUI's folder where nobody has named one. Behind this
    machine's own address other people's may run, and those of other trees: there it is confirmed. `yes`: nobody is
    asked."""
    found = dict(asked)
    if found.pop("yes", False) and found.get("ask") is None:
        found["ask"] = "never"
    if found.get("ui_home") is None and found.get("which_comfyui") is None:
        found["which_comfyui"] = "confirmed" if _is_this_machine(_address(ssh_command)) else "sure"
    return found


def show_machine(console: Console, ssh_command: str, ui_home: str | None) -> None:
    """Print where the work will be done, as far as it is known before."""
    address = _address(ssh_command)
    if address is not None:
        text = f"Machine: {_in_words(address)}" + (f"; ComfyUI: {ui_home}" if ui_home else "")
        show_text(console, one_line(text))


class WithPlace:
    """A display that also says, once, which ComfyUI the run has found: before it changes anything there."""

    def __init__(self, display: Display, console: Console, said: set[str]) -> None:
        """`said`: what was printed already, by another display of the same run."""
        self._display = display
        self._console = console
        self._said = said

    def show(self, progress: Progress, ahead: float) -> None:
        """Draw it, below the place."""
        phases = {phase.get("name"): phase for phase in progress.get("phases") or []}
        place = one_line(phases.get(_PROBE, {}).get("detail") or "")
        if place and not self._said:
            self._said.add(place)
            show_text(self._console, f"{place}.")
        self._display.show(progress, ahead)

    def notice(self, text: str) -> None:
        """Something besides."""
        self._display.notice(text)


def _address(ssh_command: str) -> SshAddress | None:
    """None for what is no SSH command: the service says so."""
    try:
        return parse_address(ssh_command)
    except InvalidAddress:
        return None


def _is_this_machine(address: SshAddress | None) -> bool:
    """Whether the address leads back here, by its spelling or by `~/.ssh/config`."""
    if address is None or address.jump:
        return False
    try:
        endpoint = resolve(address, Path.home() / ".ssh")
    except RemoteError:
        return is_loopback(address.host)
    return endpoint.jump is None and is_loopback(endpoint.host)


def _in_words(address: SshAddress) -> str:
    user = f"{address.user}@" if address.user else ""
    return f"{user}{address.host}" + (f", port {address.port}" if address.port else "")
