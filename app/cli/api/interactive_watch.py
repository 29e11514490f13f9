"""Watching with a person at the keyboard: what Ctrl-C means, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.watching import display_on, watch
from app.cli.errors import CliError

STOP, WATCH_NO_MORE = "s", "w"


class WatchingEnded(Exception):  # nothing failed: somebody wanted it so
    """The person watches no longer; the install goes on."""


def follow(api: Api, task_id: str, console: Console, *, lines: bool = False) -> Mapping[str, Any]:
    """The last progress of a task, drawn until it has ended. Ctrl-C asks what to stop. Raises WatchingEnded."""
    while True:
        try:
            with display_on(console, lines=lines) as display:
                return watch(api, task_id, display)
        except KeyboardInterrupt:
            if not wants_stop(console):
                raise WatchingEnded from None
        try:
            api.cancel(task_id)
        except CliError as exc:
            if exc.code != "task_not_cancellable":  # it has ended meanwhile: the watching goes on to its end
                raise
        console.print("Cancelling the install on the instance.")


def wants_stop(console: Console) -> bool:
    """Ask whether to stop the install. Without a terminal nobody can answer: then only the watching stops, since that
    can be undone."""
    if not (sys.stdin.isatty() and console.is_terminal):
        return False
    question = f"Stop the install on the instance ({STOP}), or only stop watching it ({WATCH_NO_MORE})?"
    choice = click.Choice([STOP, WATCH_NO_MORE], case_sensitive=False)
    try:
        return bool(click.prompt(question, type=choice, default=WATCH_NO_MORE, show_choices=False, err=True) == STOP)
    except click.Abort:
        return False
