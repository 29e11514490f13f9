"""`key`: the SSH keys that the service logs in with."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.api.connection import connection, service_options
from app.cli.view.say import say
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
    if not keys:
        say("No SSH key yet. Make one with: run.py key new")
        return
    rows = [(found["name"], found["key_type"], found["sha256"], found["path"] or found["source"]) for found in keys]
    say(table(("name", "type", "fingerprint", "from"), rows))
    for found in keys:
        say(f"\n{found['public_key']}")


@key.command("new")
@click.argument("name", required=False)
@service_options
def new(name: str | None, server: str | None, data_dir: Path | None) -> None:
    """Make an ed25519 key (NAME: id_ed25519), and print its public part. Nothing is overwritten."""
    with connection(server, data_dir) as api:
        answer = api.make_ssh_key(name)
    made = answer["ssh_key"]
    say(f"{made['path']} was made. Its public part:\n\n{made['public_key']}\n\nWhere to paste it:")
    for place in answer["where_to_paste"]:
        say(f"  {place['provider']}  {place['url']}  {place['place']}")
    if not made["used"]:
        say(f"\nA login uses it when it is named: -i {made['path']}")
