"""Commands that give work to a service: where one was started for them alone, they stay until the work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.interactive_watch import WatchingEnded, follow
from app.cli.commands.install import check_again
from app.cli.errors import EXIT_INTERRUPTED
from app.cli.output import put
from app.cli.view.result import exit_status, sentence, show_result
from app.cli.view.say import note

_ALONE = "No service is running, so this command does the work of one, and stays until it is done."
_NOBODY = "No service is running: what is in progress is shown as it was last seen. To follow it: "


def stay(
    api: Api,
    task_id: str,
    console: Console,
    *,
    server: str | None,
    data_dir: Path | None,
    wanted: bool = False,
) -> int | None:
    """Watch the task to its end where there is no service but this command's own, or it is `wanted`: the exit status.
    None where a service works on it."""
    if not (api.is_temporary or wanted):
        note(f"To watch it: {check_again(task_id, server=server, data_dir=data_dir)}")
        return None
    if api.is_temporary:
        note(_ALONE)
    try:
        progress = follow(api, task_id, console)
    except WatchingEnded:
        again = check_again(task_id, server=server, data_dir=data_dir)
        console.print(f"It goes on. To look again: {again}", markup=False, highlight=False, soft_wrap=True)
        click.get_current_context().exit(EXIT_INTERRUPTED)
    put(progress, said=sentence(progress))
    show_result(console, progress)
    return exit_status(progress)


def note_that_nobody_follows(api: Api, tasks: Sequence[Mapping[str, Any]], *, data_dir: Path | None) -> None:
    """Say so, where tasks are in progress and no service is running."""
    going_on = [task for task in tasks if task.get("in_progress")]
    if api.is_temporary and going_on:
        note(_NOBODY + check_again(str(going_on[0]["task_id"]), server=None, data_dir=data_dir))
