"""`hostkeys`: the host keys that instances have shown, and which are trusted."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.api.connection import connection, service_options
from app.cli.errors import CliError
from app.cli.view.table import table


@click.group()
def hostkeys() -> None:
    """Host keys of instances: look at, accept, forget."""


@hostkeys.command("list")
@service_options
def list_keys(server: str | None, data_dir: Path | None) -> None:
    """Every trusted key."""
    with connection(server, data_dir) as api:
        keys = api.host_keys()["host_keys"]
    rows = [(_address(key["host"], key["port"]), key["key_type"], key["sha256"]) for key in keys]
    click.echo(table(("address", "type", "fingerprint"), rows) if rows else "No host keys yet.")


@hostkeys.command("accept")
@click.argument("address")
@click.argument("sha256")
@service_options
def accept(address: str, sha256: str, server: str | None, data_dir: Path | None) -> None:
    """Trust the key that ADDRESS (an SSH command) shows now, if its fingerprint is SHA256."""
    with connection(server, data_dir) as api:
        api.accept_host_key(address, sha256)
    click.echo(f"{address}: {sha256} is trusted now.")


@hostkeys.command("forget")
@click.argument("host_port", metavar="HOST:PORT")
@service_options
def forget(host_port: str, server: str | None, data_dir: Path | None) -> None:
    """Trust no key of HOST:PORT any more: the next one that it shows is accepted."""
    host, port = _split_fields(host_port)
    with connection(server, data_dir) as api:
        api.forget_host_key(host, port)
    click.echo(f"{_address(host, port)}: forgotten.")


def _split_fields(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[address]:port`. Raises CliError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise CliError(f"{text!r} is not HOST:PORT.", hint="For example: ssh6.vast.ai:12345")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
