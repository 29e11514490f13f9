"""`tasks`: look at installs and stop them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from app.cli.api.connection import connection, service_options
from app.cli.api.interactive_watch import WatchingEnded, follow
from app.cli.api.log_reading import parts
from app.cli.api.questions import show_question, unanswered
from app.cli.api.task_ids import newest_tasks, shortened, whole_id
from app.cli.commands.lock_command import lock
from app.cli.commands.staying import note_that_nobody_follows, stay
from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.output import put
from app.cli.view.audit_line import audit_line
from app.cli.view.console import console_on
from app.cli.view.live_view import LiveView
from app.cli.view.result import exit_status, sentence, show_result
from app.cli.view.say import note, reply, say, say_log
from app.cli.view.table import table
from app.protocol.amounts import size
from app.protocol.options import OPTIONS
from app.protocol.terminal_text import one_line

COLUMNS = ("task_id", "created_at", "state", "outcome", "packs", "instance")


@click.group()
def tasks() -> None:
    """Look at installs and stop them."""


@tasks.command("list")
@click.option("--state", help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@service_options
def list_tasks(state: str | None, limit: int, server: str | None, data_dir: Path | None) -> None:
    """The newest installs."""
    with connection(server, data_dir) as api:
        found = list(newest_tasks(api, limit, state=state))
        reply({"tasks": found}, _table(found) if found else f"No installs {'in this state' if state else 'yet'}.")
        note_that_nobody_follows(api, found, data_dir=data_dir)


@tasks.command("show")
@click.argument("task_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; its data: the whole task.")
@click.option("--follow", "keep_on", is_flag=True, help="Draw it until it has ended; exit status as install's.")
@click.option(
    "--require",
    type=click.Choice(OPTIONS["require"].choices),
    help="With --follow: how many packs must be good for exit status 0.",
)
@service_options
def show(
    task_id: str, *, as_json: bool, keep_on: bool, require: str | None, server: str | None, data_dir: Path | None
) -> None:
    """One install: how it stands, or how it ended."""
    ctx = click.get_current_context()
    console = console_on()
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        progress: Mapping[str, Any] = {}
        if keep_on:
            try:
                progress = follow(api, task_id, console)
            except WatchingEnded:
                ctx.exit(EXIT_INTERRUPTED)
        task = api.task(task_id)
        if not keep_on:
            note_that_nobody_follows(api, [task["progress"]], data_dir=data_dir)
    put(task, said=sentence(progress) if keep_on else "")
    if not as_json:
        now = task["progress"]
        if now.get("in_progress"):
            console.print(LiveView(now))
        else:
            show_result(console, now)
    if keep_on:
        ctx.exit(exit_status(progress, require=require))


@tasks.command("log")
@click.argument("task_id")
@click.option("--node", metavar="NAME", help="A node pack's log, instead of the run's.")
@click.option("--log", metavar="NAME", help="Another log of the run: packages, imports, manifest.")
@click.option("--follow", "keep_on", is_flag=True, help="Go on as it grows, until the task has ended.")
@service_options
def log(
    *, task_id: str, node: str | None, log: str | None, keep_on: bool, server: str | None, data_dir: Path | None
) -> None:
    """What was printed while an install ran; readable when its instance is gone too."""
    is_empty = True
    with connection(server, data_dir) as api:
        known = whole_id(api, task_id)
        for text in parts(lambda offset: api.log(known, node=node, log=log, offset=offset), follow=keep_on):
            is_empty = False
            say_log(text)
    if is_empty:
        note("Nothing was printed there." if keep_on else "Nothing was printed there so far.")


@tasks.command("audit")
@click.argument("task_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; its data: the commands.")
@service_options
def audit(task_id: str, as_json: bool, server: str | None, data_dir: Path | None) -> None:
    """Every command that ran on an install's instance, and how it ended."""
    commands: list[Mapping[str, Any]] = []
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        while True:
            found = api.audit(task_id, offset=len(commands))
            for command in () if as_json else found["commands"]:
                say(audit_line(command))
            commands += found["commands"]
            if not found["commands"] or len(commands) >= found["total"]:
                break
    put({"commands": commands, "total": found["total"], "left_out": found["left_out"]})
    if found["left_out"] and not as_json:
        say(f"{found['left_out']} more commands ran: there were too many to keep a line of each.")


tasks.add_command(lock)


@tasks.command("cancel")
@click.argument("task_id")
@service_options
def cancel(task_id: str, server: str | None, data_dir: Path | None) -> None:
    """Stop an install, on its instance too."""
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        state = api.cancel(task_id)["state"]
        reply({"task_id": task_id, "state": state}, f"{task_id} is {state}")
        if api.is_temporary:
            stay(api, task_id, console_on(), server=server, data_dir=data_dir)


@tasks.command("skip")
@click.argument("task_id")
@click.argument("package")
@service_options
def skip(task_id: str, package: str, server: str | None, data_dir: Path | None) -> None:
    """Skip the build of a package: the packs that need it fail, the others go on."""
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        build = api.skip(task_id, package)
        packs = build.get("packs") or []
        without = f"; without it: {', '.join(map(one_line, packs))}" if packs else ""
        say(f"The build of {one_line(build.get('package'))} is being skipped{without}")
        if api.is_temporary:
            stay(api, task_id, console_on(), server=server, data_dir=data_dir)


@tasks.command("answer")
@click.argument("task_id")
@click.argument("answer", required=False)
@click.option("--question", metavar="ID", help="Which question; needed where the run asks several.")
@service_options
def answer(task_id: str, answer: str | None, question: str | None, server: str | None, data_dir: Path | None) -> None:
    """Answer a question of an install; without ANSWER, show what it asks."""
    console = console_on()
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        if answer is None:
            standing = unanswered(api.progress(task_id))
            for each in standing:
                say(f"Question {one_line(each['id'])} ({one_line(each['code'])}):")
                show_question(console, each)
            if not standing:
                say("The install asks nothing.")
            return
        if question is None:
            ids = [each["id"] for each in unanswered(api.progress(task_id))]
            if len(ids) != 1:
                hint = f"Name one with --question: {', '.join(ids)}." if ids else ""
                raise CliError(f"The install asks {len(ids) or 'no'} questions.", hint=hint)
            question = str(ids[0])
        api.answer(task_id, question, answer)
        say(f"Question {question} is answered: {answer}")
        if api.is_temporary:
            stay(api, task_id, console, server=server, data_dir=data_dir)


@tasks.command("prune")
@click.option("--older-than", metavar="DAYS", type=click.FloatRange(0), help="[default: the setting history_days]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@service_options
def prune(older_than: float | None, yes: bool, server: str | None, data_dir: Path | None) -> None:
    """Forget installs that ended long ago. What goes on stays, and so does what an install that stays refers to."""
    which = "history_days (a setting)" if older_than is None else f"{older_than:g} days"
    if not yes:
        click.confirm(f"Remove the records of all installs that ended more than {which} ago?", abort=True)
    with connection(server, data_dir) as api:
        done = api.prune(older_than)
    files = f"{done['progress_files']} progress files, the logs of {done['logs']}"
    text = f"Removed {done['records']} records and {files}, {size(done['bytes'])}."
    if done["kept"]:
        text += f" {done['kept']} as old ones stay: an install that stays undoes or repeats them."
    say(text)


_follow_option = click.option(
    "--follow", "keep_on", is_flag=True, help="Draw it until it has ended; exit status as install's."
)


@tasks.command("retry")
@click.argument("task_id")
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Only this pack; may be given many times.")
@_follow_option
@service_options
def retry(*, task_id: str, nodes: tuple[str, ...], keep_on: bool, server: str | None, data_dir: Path | None) -> None:
    """Start a new task with the packs that did not end well. Without a running service it stays until its end."""
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        new = api.retry(task_id, nodes)
        reply({"task_id": new}, f"Task {new} retries {task_id}")
        status = stay(api, new, console_on(), server=server, data_dir=data_dir, wanted=keep_on)
    click.get_current_context().exit(status or 0)


@tasks.command("repair")
@click.argument("task_id")
@_follow_option
@service_options
def repair(task_id: str, keep_on: bool, server: str | None, data_dir: Path | None) -> None:
    """Start a new task that applies what an install's second round found, so that more packs load."""
    with connection(server, data_dir) as api:
        task_id = whole_id(api, task_id)
        new = api.repair(task_id)
        reply({"task_id": new}, f"Task {new} applies what {task_id} found")
        status = stay(api, new, console_on(), server=server, data_dir=data_dir, wanted=keep_on)
    click.get_current_context().exit(status or 0)


def _table(found: Sequence[Mapping[str, Any]]) -> str:
    """The tasks as a table: whole where a script may cut it, and on a terminal as short as is clear, for 80 columns."""
    rows = [_row(task) for task in found]
    if not sys.stdout.isatty():
        return table(COLUMNS, rows)
    length = shortened([str(task["task_id"]) for task in found])
    short = [(str(row[0])[:length], str(row[1])[:16].replace("T", " "), *row[2:]) for row in rows]
    return table(("task", "started (UTC)", *COLUMNS[2:5], "machine"), short)


def _row(task: Mapping[str, Any]) -> tuple[object, ...]:
    counts = f"{task.get('successful') or 0} of {task.get('total_nodes') or 0}"
    return (*(task.get(name) for name in COLUMNS[:-2]), counts, task.get("instance"))
