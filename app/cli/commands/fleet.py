"""`fleet`: installs on many machines that were started together."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.connection import connection, service_options
from app.cli.api.fleet_watch import all_instances, follow_fleet
from app.cli.api.interactive_watch import WatchingEnded
from app.cli.api.machine_file import Machine
from app.cli.api.own_key_files import with_own_key_files
from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.output import output, put
from app.cli.program import program
from app.cli.view.console import console_on
from app.cli.view.fleet import fleet_sentence, fleet_status, machine_line, show_fleet_end
from app.cli.view.say import note, reply
from app.cli.view.table import table
from app.protocol.options import OPTIONS
from app.protocol.terminal_text import one_line

_ID_CHARS = 36
_follow_option = click.option("--follow", "keep_on", is_flag=True, help="Watch it until all have ended.")


@click.group()
def fleet() -> None:
    """Installs on many machines that were started together (install --machines FILE)."""


@fleet.command("list")
@service_options
def list_fleets(server: str | None, data_dir: Path | None) -> None:
    """The newest fleets."""
    with connection(server, data_dir) as api:
        found = api.fleets()
    rows = [
        (each["fleet_id"], each["created_at"][:16].replace("T", " "), each["total_instances"], _state(each))
        for each in found
    ]
    text = table(("fleet", "started (UTC)", "machines", "state"), rows) if rows else "No fleets yet."
    reply({"fleets": found}, text)


@fleet.command("show")
@click.argument("fleet_id")
@_follow_option
@click.option(
    "--failed",
    "only_failed",
    is_flag=True,
    help="Print the machines alone that need somebody, with the reason as a comment: a file for --machines.",
)
@click.option(
    "--require", type=click.Choice(OPTIONS["require"].choices), help="With --follow: what exit status 0 needs."
)
@service_options
def show(
    *,
    fleet_id: str,
    keep_on: bool,
    only_failed: bool,
    require: str | None,
    server: str | None,
    data_dir: Path | None,
) -> None:
    """How all of a fleet stand, and which of them need somebody."""
    ctx, console = click.get_current_context(), console_on()
    with connection(server, data_dir) as api:
        fleet_id = _whole_id(api, fleet_id)
        if keep_on:
            ctx.exit(watch_to_end(api, fleet_id, console, require=require, server=server, data_dir=data_dir))
        if only_failed:
            needing = all_instances(api, fleet_id, needing="true")
            reply({"instances": needing}, "\n".join(map(_as_line, needing)) or "# All are ready, or go on.")
            return
        _show(api, fleet_id, console, server=server, data_dir=data_dir)


@fleet.command("cancel")
@click.argument("fleet_id")
@service_options
def cancel(fleet_id: str, server: str | None, data_dir: Path | None) -> None:
    """Stop all installs of a fleet that have not ended, on their machines too."""
    with connection(server, data_dir) as api:
        changed = api.cancel_fleet(_whole_id(api, fleet_id))
    reply(changed, f"{len(changed['tasks']):,} installs are being stopped.{_left(changed['left'])}")


@fleet.command("retry")
@click.argument("fleet_id")
@_follow_option
@service_options
def retry(fleet_id: str, keep_on: bool, server: str | None, data_dir: Path | None) -> None:
    """Try again what did not end well: those machines alone, and on each the node packs that failed."""
    ctx, console = click.get_current_context(), console_on()
    with connection(server, data_dir) as api:
        fleet_id = _whole_id(api, fleet_id)
        changed = api.retry_fleet(fleet_id)
        reply(changed, f"{len(changed['tasks']):,} machines are tried again.{_left(changed['left'])}")
        if keep_on or api.is_temporary:
            ctx.exit(watch_to_end(api, fleet_id, console, require=None, server=server, data_dir=data_dir))
        note(f"To watch it: {_again(fleet_id, '--follow', server=server, data_dir=data_dir)}")


def install_on_all(
    api: Api,
    body: Mapping[str, Any],
    machines: Sequence[Machine],
    console: Console,
    *,
    require: str | None,
    where: Mapping[str, Any],
) -> int:
    """Start an install on each machine and watch all of them: the exit status. `where`: the service's `server` and
    `data_dir`."""
    try:
        shared = {name: value for name, value in body.items() if name != "ssh_connection"}
        fleet_id = api.start_fleet({**shared, "ssh_connections": _entries(machines, where)})["fleet_id"]
    except CliError as exc:
        raise _by_place(exc, machines) from None
    console.print(f"Fleet {fleet_id}: {len(machines):,} machines", highlight=False)
    return watch_to_end(api, fleet_id, console, require=require, **where)


def _entries(machines: Sequence[Machine], where: Mapping[str, Any]) -> list[dict[str, str]]:
    """As the API takes them, with the key files of whoever asks."""
    return [
        {**each.entry, "ssh_connection": with_own_key_files(each.entry["ssh_connection"], where["server"])}
        for each in machines
    ]


def watch_to_end(
    api: Api, fleet_id: str, console: Console, *, require: str | None, server: str | None, data_dir: Path | None
) -> int:
    """Watch a fleet until all have ended: the exit status."""
    try:
        progress = follow_fleet(api, fleet_id, console, lines=output().as_json)
    except WatchingEnded:
        again = _again(fleet_id, "--follow", server=server, data_dir=data_dir)
        console.print(f"The installs go on. To look again: {again}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_INTERRUPTED
    _show(api, fleet_id, console, server=server, data_dir=data_dir)
    return fleet_status(progress, require=require)


def _show(api: Api, fleet_id: str, console: Console, *, server: str | None, data_dir: Path | None) -> None:
    progress = api.fleet(fleet_id, limit=1)
    needing = all_instances(api, fleet_id, needing="true")
    if output().as_json:
        put({**progress, "instances": all_instances(api, fleet_id), "page": None}, said=fleet_sentence(progress))
        return
    put(progress, said=fleet_sentence(progress))
    again = _again(fleet_id, server=server, data_dir=data_dir, verb="retry")
    show_fleet_end(console, progress, needing, again)


def _whole_id(api: Api, fleet_id: str) -> str:
    """The id that `fleet_id` is, or is the beginning of. Raises CliError for several."""
    found = {each["fleet_id"] for each in api.fleets()} if len(fleet_id) < _ID_CHARS else set()
    known = sorted(each for each in found if each.startswith(fleet_id.lower()))
    if len(known) > 1:
        raise CliError(
            f"{fleet_id} is the beginning of {len(known)} fleets.", hint="Write more of it.", field="FLEET_ID"
        )
    return str(known[0]) if known else fleet_id


def _by_place(exc: CliError, machines: Sequence[Machine]) -> CliError:
    """The service's words, with places in the file in place of positions in the request."""
    lines = []
    for wrong in exc.wrong_entries or ({"field": exc.field, "message": exc.message},):
        field, message = str(wrong.get("field") or ""), str(wrong.get("message"))
        for index in range(len(machines) - 1, -1, -1):
            name = f"ssh_connections[{index}]"
            if field.startswith(name) and name not in message:
                message = f"{machines[index].place}: {message}"
            message = message.replace(name, machines[index].place) if name in message else message
        lines.append(message)
    own = "ssh_connections" in str(exc.field or "")
    text = " ".join(lines) if exc.wrong_entries or own else exc.message
    return CliError(text, hint=exc.hint, field="--machines" if own else exc.field, code=exc.code)


def _as_line(instance: Mapping[str, Any]) -> str:
    address = one_line(instance["ssh_connection"])
    return f"{address}  # {machine_line(instance).removeprefix(f'{address}: ')}"


def _state(each: Mapping[str, Any]) -> str:
    states = {name: number for name, number in each["states"].items() if number}
    return ", ".join(f"{number:,} {name}" for name, number in states.items())


_WHY = {
    "task_not_cancellable": "had ended already",
    "nothing_to_retry": "ended well",
    "task_conflict": "are still at work",
    "too_many_tasks": "found no room in the queue: try again later",
}


def _left(left: Mapping[str, int]) -> str:
    said = [f"{number:,} {_WHY.get(code, code)}" for code, number in left.items() if number]
    return f" Of the others {', '.join(said)}." if said else ""


def _again(fleet_id: str, *flags: str, server: str | None, data_dir: Path | None, verb: str = "show") -> str:
    where = ["--server", server] if server else ["--data-dir", str(data_dir)] if data_dir else []
    return f"{program()} {shlex.join(['fleet', verb, fleet_id, *flags, *where])}"
