"""`key`: the SSH keys that the service logs in with."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.api.connection import connection, service_options
from app.cli.program import program
from app.cli.view.say import reply
from app.cli.view.table import table


@click.group()
def key() -> None:
    """SSH keys of yours: list, make one."""


@key.command("list")
@service_options
def list_keys(server: str | None, data_dir: Path | None) -> None:
    """Every key, and its public part."""
    with connection(server, data_dir) as api:
        keys = api.ssh_keys()["ssh_keys"]
    rows = [(found["name"], found["key_type"], found["sha256"], found["path"] or found["source"]) for found in keys]
    lines = [table(("name", "type", "fingerprint", "from"), rows), *(f"\n{found['public_key']}" for found in keys)]
    none = f"No SSH key yet. Make one with: {program()} key new"
    reply({"ssh_keys": keys}, "\n".join(lines) if keys else none)


@key.command("new")
@click.argument("name", required=False)
@service_options
def new(name: str | None, server: str | None, data_dir: Path | None) -> None:
    """Make an ed25519 key (NAME: id_ed25519), and print its public part. Nothing is overwritten."""
    with connection(server, data_dir) as api:
        answer = api.make_ssh_key(name)
    made = answer["ssh_key"]
    lines = [f"{made['path']} was made. Its public part:", "", made["public_key"], "", "Where to paste it:"]
    lines += [f"  {place['provider']}  {place['url']}  {place['place']}" for place in answer["where_to_paste"]]
    if not made["used"]:
        lines += ["", f"A login uses it when it is named: -i {made['path']}"]
    reply({"ssh_key": made, "where_to_paste": answer["where_to_paste"]}, "\n".join(lines))
