"""`demo`: the main job on a throw-away instance, with packs of which two must fail."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.watching import display_on, lines_on, watch
from app.cli.commands.demo_world import World, demo_world
from app.cli.signals import ended_by_signals
from app.cli.view.console import console_on
from app.cli.view.result import show_result, show_text
from app.protocol.states import GOOD_NODE_STATES
from app.protocol.terminal_text import one_line

EXPECTED_FAILURES = {
    "Demo-Gone": "its repository does not exist",
    "Demo-No-Such-Package": "its requirement does not exist",
}


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything up until Ctrl-C, for curl and the browser.")
@click.option("--plain", "lines", is_flag=True, help="Lines instead of a live picture.")
def demo(keep: bool, lines: bool) -> None:
    """Install node packs on a throw-away instance of this machine, and watch. Nothing is left afterwards.

    Two of the packs cannot be installed, to show what that looks like. Exit status 0 when exactly those two failed.
    """
    console = console_on()
    ends: list[bool] = []
    with ended_by_signals():
        console.print("Setting up, in a temporary folder and on loopback only:")
        with demo_world(console) as world, Api(world.url) as api:
            try:
                ends.append(_install(world, api, console, lines=lines))
                if keep:
                    _keep(world, console)
            except KeyboardInterrupt:
                if not (keep and ends):  # what stays up until Ctrl-C ends by it as it should
                    raise
                console.print("Cleaning up.")
    click.get_current_context().exit(0 if ends == [True] else 1)


def _install(world: World, api: Api, console: Console, *, lines: bool) -> bool:
    task_id = api.start(world.request)
    console.print(f"Installing through {world.url}, task {task_id}", highlight=False, soft_wrap=True)
    with display_on(console, lines_on(console, lines=lines)) as display:
        progress = watch(api, task_id, display)
    show_result(console, progress)
    surprises = surprises_in(progress)
    if surprises:
        show_text(console, f"Not as expected: {one_line('; '.join(surprises))}.")
        return False
    failures = ", ".join(f"{name} ({why})" for name, why in EXPECTED_FAILURES.items())
    ready = progress["counts"]["ready"]
    show_text(console, f"As expected: the demo makes two packs fail, {failures}; the other {ready} are ready.")
    return True


def surprises_in(progress: Mapping[str, Any]) -> list[str]:
    """What is not as it should be; empty when exactly the packs that cannot be installed failed."""
    found = [] if progress.get("state") == "completed" else [f"the install is {progress.get('state')}"]
    nodes = {node["name"]: node for node in progress.get("nodes") or []}
    found += [f"{name} is not in the list" for name in EXPECTED_FAILURES if name not in nodes]
    for name, node in nodes.items():
        good = node["state"] in GOOD_NODE_STATES and not node.get("error")
        expected = node["state"] == "failed" if name in EXPECTED_FAILURES else good
        if not expected:
            code = (node.get("error") or {}).get("code")
            found.append(f"{name} is {node['state']}" + (f" ({code})" if code else ""))
    return found


def _keep(world: World, console: Console) -> None:
    """Say how to use what is up, and wait for Ctrl-C."""
    body = world.folder / "install.json"
    body.write_text(json.dumps(world.request), "utf-8")
    for line in kept_lines(world.url, str(body), world.instance.ssh_command):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    threading.Event().wait()


def kept_lines(url: str, body: str, ssh_command: str) -> list[str]:
    """The lines to copy."""
    post = "curl -s -H 'Content-Type: application/json' -X POST"
    return [
        "",
        f"It stays up until Ctrl-C at {url}",
        "Start it again:",
        f"  {post} {url}/ssh/install-custom-nodes -d @{shlex.quote(body)}",
        "Poll, with the task_id of that answer:",
        f'  {post} {url}/ssh/install-custom-nodes/progress -d \'{{"task_id": "TASK_ID"}}\'',
        "Log in to the instance:",
        f"  {ssh_command}",
    ]
