"""The only way to a person's terminal, besides `app.cli.view.console`: what others wrote is shown there as text,
whatever a command forgets to clean."""

from __future__ import annotations

import os
import stat
import sys
from typing import IO, Any

import click

from app.cli.output import output, put
from app.protocol.redaction import masked
from app.protocol.terminal_text import many_lines


def say(text: str, *, err: bool = False, file: IO[Any] | None = None, has_secret: bool = False) -> None:
    """Print a text, which may have several lines; with --json to stderr. `has_secret`: one that is to be shown, this
    once."""
    shown = many_lines(text) if has_secret else masked(many_lines(text))
    click.echo(shown, err=err or output().as_json, file=file)


def note(text: str, *, has_secret: bool = False) -> None:
    """Print to stderr what helps a person and is not what was asked for; nothing with --quiet or --json."""
    if not (output().quiet or output().as_json):
        say(text, err=True, has_secret=has_secret)


def reply(data: Any, text: str, *, has_secret: bool = False) -> None:
    """What was asked for: `data` in the document of --json, `text` for a person."""
    put(data, has_secret=has_secret)
    if not output().as_json:
        say(text, has_secret=has_secret)


def say_document(text: str, *, has_secret: bool = False) -> None:
    """Print the one document of --json."""
    click.echo(text if has_secret else masked(text))


def say_log(text: str) -> None:
    """Print a piece of a log: as it is into a file, and readable to whatever may be a terminal in the end."""
    if output().as_json:
        output().texts.append(text)
        return
    sys.stdout.write(masked(text if _is_file() else many_lines(text)))  # click's own would take colours out of a file
    sys.stdout.flush()


def _is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # it was replaced by something without a descriptor
        return False
