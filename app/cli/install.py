"""`install`: start an install through the API and draw it until it has ended."""

from __future__ import annotations

import json
import shlex
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console

from app.cli.connected import connected, service_options
from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.following import WatchingEnded, follow
from app.cli.program import program
from app.cli.result import exit_status, show_result


@click.command()
@click.argument("ssh_command")
@click.option("--ui-home", metavar="DIR", help="ComfyUI's folder on the instance; found by itself where it can be.")
@click.option("--venv-path", metavar="DIR", help="ComfyUI's Python environment there; found by itself where it can be.")
@click.option("--csv", "csv_file", type=click.File("r", encoding="utf-8-sig"), help="The list; - reads stdin.")
@click.option("--url", "urls", multiple=True, metavar="URL", help="A node pack's repository; may be given many times.")
@click.option("--existing", type=click.Choice(["keep", "update", "reinstall"]), help="For packs that are there.")
@click.option("--no-scripts", is_flag=True, help="Run no pack's install.py.")
@click.option("--wait-seconds", type=click.FloatRange(min=0), help="How long to wait for an instance to come up.")
@click.option("--host-key-sha256", metavar="SHA256:…", help="The only host key to accept.")
@click.option("--json", "as_json", is_flag=True, help="The last progress as JSON on stdout, lines on stderr.")
@service_options
def install(
    ssh_command: str,
    *,
    csv_file: TextIO | None,
    urls: tuple[str, ...],
    as_json: bool,
    server: str | None,
    data_dir: Path | None,
    **asked: Any,
) -> None:
    """Install node packs on the instance that SSH_COMMAND reaches, for example "ssh -p 12345 root@ssh6.vast.ai".

    Without --csv and --url: the Auto-installer's list.
    Exit status: 0 all installed, 3 some, 1 none or failed, 130 interrupted.
    """
    ctx = click.get_current_context()
    body = request_body(ssh_command, _manifest(csv_file, urls), **asked)
    console = Console(stderr=as_json)
    with connected(server, data_dir) as api:
        task_id = api.start(body)
        console.print(f"Task {task_id}", highlight=False)
        try:
            progress = follow(api, task_id, console, lines=as_json)
        except WatchingEnded:
            again = look_again(task_id, server=server, data_dir=data_dir)
            console.print(f"The install goes on. To look again: {again}", markup=False, highlight=False, soft_wrap=True)
            ctx.exit(EXIT_INTERRUPTED)
    if as_json:
        click.echo(json.dumps(progress, indent=2))
    else:
        show_result(console, progress)
    ctx.exit(exit_status(progress))


def look_again(task_id: str, *, server: str | None, data_dir: Path | None) -> str:
    """The command that watches the same task at the same service."""
    where = ["--server", server] if server else ["--data-dir", str(data_dir)] if data_dir else []
    return f"{program()} {shlex.join(['tasks', 'show', task_id, '--follow', *where])}"


def request_body(
    ssh_command: str,
    manifest: Mapping[str, Any] | None,
    *,
    ui_home: str | None = None,
    venv_path: str | None = None,
    existing: str | None = None,
    no_scripts: bool = False,
    wait_seconds: float | None = None,
    host_key_sha256: str | None = None,
) -> dict[str, Any]:
    """The request of a start: only what was asked for, so that the service's defaults hold for the rest."""
    options = {
        "existing": existing,
        "run_scripts": False if no_scripts else None,
        "wait_seconds": wait_seconds,
        "host_key_sha256": host_key_sha256,
    }
    given = {name: value for name, value in options.items() if value is not None}
    body = {
        "ssh_connection": ssh_command,
        "ui_home": ui_home,
        "venv_path": venv_path,
        "manifest": manifest,
        "options": given or None,
        "idempotency_key": str(uuid.uuid4()),
    }
    return {name: value for name, value in body.items() if value is not None}


def _manifest(csv_file: TextIO | None, urls: tuple[str, ...]) -> dict[str, Any] | None:
    if csv_file and urls:
        raise CliError("--csv and --url cannot be given together.", hint="Put the URLs into the CSV's RepoUrl column.")
    if urls:
        return {"urls": list(urls)}
    if csv_file is None:
        return None
    try:
        return {"csv": csv_file.read()}
    except UnicodeDecodeError as exc:
        raise CliError(f"{csv_file.name} is not UTF-8 text.", field="--csv") from exc
