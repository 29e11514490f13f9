"""`wheels`: what was built on instances, for the next ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from app.cli.api.client import Api
from app.cli.api.connection import connection, service_options
from app.cli.api.wheel_folder import PAGE, WheelFolder, entries
from app.cli.errors import CliError
from app.cli.view.say import note, reply, say
from app.cli.view.table import table
from app.protocol.amounts import size


@click.group()
def wheels() -> None:
    """Wheels that were built on instances, to be used again on others."""


@wheels.command("list")
@click.argument("task_id")
@service_options
def list_wheels(task_id: str, server: str | None, data_dir: Path | None) -> None:
    """The wheels that the task's instance keeps; those of this task's run are marked."""
    with connection(server, data_dir) as api:
        found = entries(api.wheels(task_id), everything=True)
    rows = [(wheel.name, size(wheel.bytes), "this run" if wheel.own else "") for wheel in found]
    text = table(("wheel", "size", "built in"), rows) if rows else "The instance keeps no wheels."
    reply({"wheels": [asdict(wheel) for wheel in found]}, text)


@wheels.command("export")
@click.argument("task_id")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Also those of earlier runs on that instance.")
@service_options
def export(*, task_id: str, folder: Path, everything: bool, server: str | None, data_dir: Path | None) -> None:
    """Fetch the wheels that were built in a task's run into FOLDER.

    The folder can be given to the next install as --wheelhouse, copied to an instance or served by
    `python -m http.server`. Nothing in it is overwritten. What was cut short goes on with the same command.
    """
    failed = 0
    with connection(server, data_dir) as api:
        found = entries(api.wheels(task_id), everything=everything)
        kept = WheelFolder(folder)
        for wheel in found:
            try:
                fetched = kept.fetch(wheel, partial(_bytes_of, api, task_id, wheel.name))
            except CliError as exc:
                failed += 1
                exc.show()
            else:
                say(f"{wheel.name}  {size(wheel.bytes)}{'' if fetched else '  (is there)'}")
    if found and not kept.write_page():
        note(f"{folder / PAGE} is somebody else's page and was not replaced.")
    more = "" if everything else " in this run; --all fetches those of earlier runs too"
    say(f"{len(found) - failed} of {len(found)} wheels built{more}.")
    click.get_current_context().exit(1 if failed else 0)


def _bytes_of(api: Api, task_id: str, name: str, offset: int) -> Iterator[bytes]:
    return api.wheel(task_id, name, offset=offset)
