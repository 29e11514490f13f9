"""`tasks lock`: what an install left, as a file for Nodeferry, for another tool, or for a machine of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from app.cli.api.connection import connection, service_options
from app.cli.api.task_ids import whole_id
from app.cli.errors import CliError
from app.cli.output import put
from app.cli.view.say import note, say, say_log
from app.protocol.amounts import size
from app.protocol.terminal_text import one_line

FORMS = ("lock", "manager-snapshot", "comfy-build", "provisioning", "on-start")
_LINE = "Put it at an address that the machine can reach. Then, at the machine's start: {line}"


@click.command("lock")
@click.argument("task_id")
@click.option(
    "--as",
    "form",
    type=click.Choice(FORMS),
    default="lock",
    show_default=True,
    help="For Nodeferry, ComfyUI-Manager, comfy-cli, vast.ai, or as a script that needs no service.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; without, it is printed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; its data: the answer.")
@service_options
def lock(
    *, task_id: str, form: str, output: Path | None, as_json: bool, server: str | None, data_dir: Path | None
) -> None:
    """Exactly what an install left: to install it again elsewhere."""
    with connection(server, data_dir) as api:
        found = api.lock(whole_id(api, task_id), form)
    put(found)
    text = _text(found, form)
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise CliError(f"{output} cannot be written: {exc.strerror}.") from None
        if not as_json:
            say(f"{output} ({size(len(text.encode('utf-8')))})")
    elif not as_json:
        say_log(text)
    for each in found.get("told") or ():
        note(one_line(each))
    if found.get("line"):
        note(_LINE.format(line=one_line(found["line"]).replace("ADDRESS", "URL")))


def _text(found: dict[str, Any], form: str) -> str:
    """The file's text."""
    if "text" in found:
        return str(found["text"])
    return json.dumps(found["lock"] if form == "lock" else found, indent=2) + "\n"
