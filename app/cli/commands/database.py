"""`database`: where the history lies, and its way into a PostgreSQL that several processes share."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from app.cli.errors import CliError
from app.cli.server.service_lock import ServiceLock
from app.cli.view.say import note, reply
from app.domain.database_scheme import with_driver
from app.protocol.amounts import size
from app.settings import Settings, settings_from

_FOLDER = click.Path(path_type=Path, file_okay=False)
_EVERY_SECONDS = 1.0


@click.group()
def database() -> None:
    """The history of a service: move it to where several processes share it."""


@database.command("move")
@click.option("--to", "target", metavar="URL", help="Of the empty PostgreSQL.  [default: NODEFERRY_DATABASE_URL]")
@click.option("--data-dir", type=_FOLDER, help="The data folder of the stopped service.")
def move(target: str | None, data_dir: Path | None) -> None:
    """Move the whole history of a stopped service from SQLite to an empty PostgreSQL: all of it, or nothing.

    Records, logs, tokens and files are copied, read back and compared; installs that have not ended go on there. The
    data folder stays as it is, and no service starts on its history any more.
    """
    settings = settings_from(overrides={"data_dir": data_dir})
    source, url = _source(settings), with_driver(target or settings.database_url)
    if not url.startswith("postgresql"):
        hint = "Name it: --to postgresql+psycopg://USER@HOST/NAME, or set NODEFERRY_DATABASE_URL."
        raise CliError("It is not said which PostgreSQL the history is moved to.", hint=hint, field="--to")
    from app.storage.move.history import move_history

    with ServiceLock(settings.data_dir):
        moved = move_history(settings.data_dir, source, url, _Progress())
    parts = {name: {"rows": part.rows, "bytes": part.size} for name, part in moved.parts.items()}
    lines = [f"{name}: {part.rows} ({size(part.size)})" for name, part in moved.parts.items() if part.rows]
    ends = f"Moved and compared. {_going_on(moved.unfinished)}".rstrip()
    reply({"moved": parts, "unfinished": moved.unfinished}, "\n".join([*lines, ends]))
    note("Every process of the service now needs this setting: NODEFERRY_DATABASE_URL")


def _going_on(count: int) -> str:
    many = "1 install has" if count == 1 else f"{count} installs have"
    return f"{many} not ended; a worker there goes on with what they do." if count else ""


def _source(settings: Settings) -> str:
    own = settings.database_url
    return own if own.startswith("sqlite") else f"sqlite:///{settings.data_dir / 'nodeferry.db'}"


class _Progress:
    """Says how far it is, once in a while."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, what: str, done: int, of: int) -> None:
        if time.monotonic() - self._said_at >= _EVERY_SECONDS:
            self._said_at = time.monotonic()
            note(f"{what}: {done} of {of}")
            sys.stderr.flush()
