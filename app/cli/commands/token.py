"""`token`: who may use a service that is reached from other machines."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import click

from app.cli.errors import CliError
from app.cli.program import program
from app.cli.server.service_lock import running_service
from app.cli.view.say import note, reply, say
from app.cli.view.table import table
from app.domain.access import CHOSEN, Scope
from app.settings import Settings, settings_from
from app.storage.data_folder import opened_tokens
from app.storage.token_file import Tokens

_FOLDER = click.Path(path_type=Path, file_okay=False)
_SCOPES = click.Choice([scope.value for scope in Scope])


@click.group()
def token() -> None:
    """Tokens for the service: make, list, revoke. A running service heeds each change at once."""


@token.command("new")
@click.option("--name", default="", help="What it is for.  [default: token-1, token-2 …]")
@click.option("--scope", type=_SCOPES, default=Scope.ALL.value, show_default=True, help="What it allows.")
@click.option("--data-dir", type=_FOLDER, help="The data folder of the service.")
def new(name: str, scope: str, data_dir: Path | None) -> None:
    """Make a token, and show it this once."""
    settings = settings_from(overrides={"data_dir": data_dir})
    with _tokens(settings) as tokens:
        secret = tokens.new(name, Scope(scope))
    running = running_service(settings.data_dir)
    url = running.url if running else ""
    reply({"token": secret, "scope": scope, "url": url or None}, secret, has_secret=True)
    if url:
        note(f"Log in with a browser: {url}/#token={secret}", has_secret=True)
    note("It is shown only now. The command line takes it as --token or from NODEFERRY_TOKEN;")
    note("other programs send it as: Authorization: Bearer TOKEN")


@token.command("list")
@click.option("--data-dir", type=_FOLDER, help="The data folder of the service.")
def list_tokens(data_dir: Path | None) -> None:
    """Every token by its name; their secrets are kept nowhere."""
    settings = settings_from(overrides={"data_dir": data_dir})
    with _tokens(settings) as tokens:
        rows = [(each.name, each.scope.value, each.created_at) for each in tokens.all()]
    rows += [(CHOSEN, Scope.ALL.value, "set by you")] if settings.token else []
    head = ("name", "scope", "made")
    none = f"No tokens yet. Make one with: {program()} token new"
    reply({"tokens": [dict(zip(head, row, strict=True)) for row in rows]}, table(head, rows) if rows else none)


@token.command("revoke")
@click.argument("name")
@click.option("--data-dir", type=_FOLDER, help="The data folder of the service.")
def revoke(name: str, data_dir: Path | None) -> None:
    """Revoke the token NAME: it, and the sessions that were begun with it, end at once."""
    settings = settings_from(overrides={"data_dir": data_dir})
    if name == CHOSEN:
        raise CliError(f"{CHOSEN} is a setting.", hint="Unset it, and start the service again.", field="NAME")
    with _tokens(settings) as tokens:
        was_there = tokens.revoke(name)
    if not was_there:
        hint = f"`{program()} token list` shows their names."
        raise CliError(f"There is no token {name[:80]!r}.", hint=hint, field="NAME")
    say(f"{name}: revoked.")


def _tokens(settings: Settings) -> AbstractContextManager[Tokens]:
    return opened_tokens(settings.data_dir, settings.resolved_database_url)
