"""`hostkeys`: the host keys that instances have shown, and which are trusted."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.api.connection import connection, service_options
from app.cli.errors import CliError
from app.cli.view.say import reply, say
from app.cli.view.table import table
from app.domain.host_port import join_host_port, split_host_port


@click.group()
def hostkeys() -> None:
    """Host keys of instances: look at, accept, forget."""


@hostkeys.command("list")
@service_options
def list_keys(server: str | None, data_dir: Path | None) -> None:
    """Every trusted key."""
    with connection(server, data_dir) as api:
        keys = api.host_keys()["host_keys"]
    rows = [(join_host_port(key["host"], key["port"]), key["key_type"], key["sha256"]) for key in keys]
    reply({"host_keys": keys}, table(("address", "type", "fingerprint"), rows) if rows else "No host keys yet.")


@hostkeys.command("accept")
@click.argument("address")
@click.argument("sha256")
@service_options
def accept(address: str, sha256: str, server: str | None, data_dir: Path | None) -> None:
    """Trust the key that ADDRESS (an SSH command) shows now, if its fingerprint is SHA256."""
    with connection(server, data_dir) as api:
        api.accept_host_key(address, sha256)
    say(f"{address}: {sha256} is trusted now.")


@hostkeys.command("forget")
@click.argument("host_port", metavar="HOST:PORT")
@service_options
def forget(host_port: str, server: str | None, data_dir: Path | None) -> None:
    """Trust no key of HOST:PORT any more: the next one that it shows is accepted."""
    try:
        host, port = split_host_port(host_port)
    except ValueError as exc:
        raise CliError(f"{host_port!r} is not HOST:PORT.", hint="For example: ssh6.vast.ai:12345") from exc
    with connection(server, data_dir) as api:
        api.forget_host_key(host, port)
    say(f"{join_host_port(host, port)}: forgotten.")
