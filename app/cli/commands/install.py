"""`install`: start an install through the API and draw it until it has ended."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.api.connection import connection, service_options
from app.cli.api.interactive_watch import WatchingEnded, follow
from app.cli.api.machine_file import Machine
from app.cli.api.manifest_sources import SOURCES, manifest_of, source_options
from app.cli.api.own_key_files import with_own_key_files
from app.cli.api.questions import answer_option, answers_of, is_interactive, with_terminal_defaults
from app.cli.api.which_home import careful, show_machine
from app.cli.api.workflow_lists import Answering, Asked, manifest_of_workflows, workflow_options
from app.cli.commands.install_many import OnAll, machines_options
from app.cli.commands.machine_check import check_machine
from app.cli.commands.request_body import request_body
from app.cli.commands.ssh_words import SshAndPacks
from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.output import put
from app.cli.program import program
from app.cli.view.console import console_on
from app.cli.view.plan import plan_status, show_plan
from app.cli.view.proof import show_proof
from app.cli.view.result import exit_status, sentence, show_result, show_text
from app.protocol.options import OPTIONS, Option
from app.protocol.task_list import RESTART
from app.protocol.terminal_text import one_line

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def install_options(command: Callable[..., Any], *, hidden: Collection[str] = ()) -> Callable[..., Any]:
    """The flags that say how to install: where ComfyUI is, and one for each of the API's `options`. `hidden`: the
    options that the help does not offer, since the command says what to do instead."""
    homes: list[Decorator] = [
        click.option("--ui-home", metavar="DIR", help="ComfyUI's folder there; found by itself where it can be."),
        click.option(
            "--yes", is_flag=True, help="Ask nothing. Where ComfyUI's folder is in doubt, --ui-home has to name it."
        ),
        click.option("--venv-path", metavar="DIR", help="ComfyUI's Python environment there; found by itself too."),
    ]
    flags = [_flag(option, hidden=option.name in hidden) for option in OPTIONS.values()]
    for decorate in reversed([*homes, *flags]):
        command = decorate(command)
    return command


def _flag(option: Option, *, hidden: bool = False) -> Decorator:
    """The flag of one option. Its value is None where it was not given: then the service's default holds."""
    about: dict[str, Any] = {"help": f"{option.flag_help[:1].upper()}{option.flag_help[1:]}.", "hidden": hidden}
    if option.type is bool:
        return click.option(
            option.flag, option.name, is_flag=True, flag_value=not option.default, default=None, **about
        )
    if option.is_list:
        about |= {"multiple": True, "callback": lambda _context, _flag, given: list(given) or None}
        return click.option(option.flag, option.name, metavar=option.metavar, **about)
    kind: Any = click.Choice(option.choices) if option.choices else click.STRING
    if option.type in {int, float}:
        kind = (click.IntRange if option.type is int else click.FloatRange)(option.minimum, option.maximum)
    return click.option(option.flag, option.name, type=kind, metavar=option.metavar or None, **about)


@click.command(cls=SshAndPacks)
@click.argument("ssh_command", required=False)
@source_options
@workflow_options
@install_options
@answer_option
@machines_options
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON document on stdout, with the last progress as its data; lines on stderr.",
)
@service_options
def install(
    ssh_command: str | None,
    *,
    machines: Sequence[Machine] | None,
    workflows: tuple[IO[bytes], ...],
    template: str | None,
    needed: str,
    check_only: bool,
    answers: tuple[str, ...],
    remember: bool,
    as_json: bool,
    server: str | None,
    data_dir: Path | None,
    **asked: Any,
) -> None:
    """Install node packs on the instance that SSH_COMMAND reaches, for example "ssh -p 12345 root@ssh6.vast.ai".

    Packs of ComfyUI's registry may stand behind it: comfyui-impact-pack@8.1.0, or an id alone for the newest version.
    Without a list (--workflow, --template, --csv, --url, --nodes, --lock, --file, --repo …): the Auto-installer's.
    Exit status: 0 all installed (planned, with --plan-only), 3 some, 1 none or failed, 2 not a command line, 130
    interrupted. With --check-only, and for a workflow without any pack to install: 0 ready, 1 not, 3 not known.
    """
    ctx = click.get_current_context()
    console, known = console_on(stderr=as_json), answers_of(answers)
    sources = Asked(workflows, template, needed, check_only)
    manifest = manifest_of({name: asked.pop(name) for name in SOURCES}, also=sources.option)
    if machines is not None:
        many = OnAll(machines, sources, known, remember=remember, server=server, data_dir=data_dir)
        ctx.exit(many.install(manifest, asked, console, alone=ssh_command is None))
    ssh_command, may_ask = with_own_key_files(_needed(ssh_command), server), not asked["yes"]
    asked = careful(asked, ssh_command)
    asked = with_terminal_defaults(asked, known, interactive=is_interactive(console) and not as_json)
    with connection(server, data_dir) as api:
        if sources.option:
            how = Answering(known, ssh_command, remember, may_ask and is_interactive(console))
            manifest, has_packs = manifest_of_workflows(api, sources, console, how)
            if not has_packs:
                body = request_body(ssh_command, manifest, **asked)
                ctx.exit(check_machine(api, body, console, saves=not check_only, as_json=as_json))
        show_machine(console, ssh_command, asked["ui_home"])
        task_id = _started(api, request_body(ssh_command, manifest, **asked), console)
        again = check_again(task_id, server=server, data_dir=data_dir)
        progress = _to_end(api, task_id, console, again, lines=as_json, answers=known)
        if asked["plan_only"]:
            ctx.exit(_end_of_plan(api, progress, console, as_json=as_json))
        proof = _proof(api, progress, console) if sources.option else None
    put({**progress, **({"proof": proof} if proof else {})}, said=sentence(progress))
    if not as_json:
        show_end(console, progress, proof, of_workflows=bool(sources.option))
    ctx.exit(exit_status(progress, require=asked["require"]))


def _needed(ssh_command: str | None) -> str:
    if ssh_command is None:
        raise click.UsageError("Missing argument 'SSH_COMMAND' (or --machines FILE).")
    return ssh_command


def _to_end(
    api: Api, task_id: str, console: Console, again: str, *, lines: bool, answers: Mapping[str, str]
) -> Mapping[str, Any]:
    """The last progress, of an install that has ended. Where somebody watches no longer, the command ends here.
    `again`: the command that watches it again."""
    try:
        return follow(api, task_id, console, lines=lines, answers=answers)
    except WatchingEnded:
        console.print(f"The install goes on. To look again: {again}", markup=False, highlight=False, soft_wrap=True)
        click.get_current_context().exit(EXIT_INTERRUPTED)


def _started(api: Api, body: Mapping[str, Any], console: Console) -> str:
    """Start it, and print its id and what of the list cannot be had; the id."""
    started = api.started(body)
    task_id = str(started["task_id"])
    console.print(f"Task {task_id}", highlight=False)
    show_left_out(console, started.get("left_out") or ())
    return task_id


def _end_of_plan(api: Api, progress: Mapping[str, Any], console: Console, *, as_json: bool) -> int:
    """Print what an install would do; the exit status."""
    plan = api.task(str(progress["task_id"])).get("plan")
    put({**progress, "plan": plan}, said=sentence(progress))
    if not as_json:
        show_plan(console, progress, plan)
    return plan_status(progress)


def _proof(api: Api, progress: Mapping[str, Any], console: Console) -> dict[str, Any] | None:
    """Whether the workflows are ready, where ComfyUI was restarted."""
    rows = progress.get("steps") or ()
    if not any(row.get("name") == RESTART and row.get("status") == "success" for row in rows):
        return None
    try:
        return api.prove(str(progress["task_id"]))
    except CliError as error:  # the install has ended all the same
        show_text(console, one_line(error), style="yellow")
        return None


def show_end(
    console: Console, progress: Mapping[str, Any], proof: Mapping[str, Any] | None, *, of_workflows: bool
) -> None:
    """Print how an install ended, and whether the workflows are ready that it was for."""
    show_result(console, progress)
    if of_workflows:
        show_proof(console, proof)


def show_left_out(console: Console, left_out: Sequence[Mapping[str, Any]]) -> None:
    """Print what a list names and cannot be had, a line an entry with why and what to do."""
    for each in left_out:
        name = one_line(" ".join(filter(None, (str(each.get("name", "")), str(each.get("version", ""))))))
        show_text(console, f"Not installed: {name}: {one_line(each.get('reason'))}")


def check_again(task_id: str, *, server: str | None, data_dir: Path | None) -> str:
    """The command that watches the same task at the same service."""
    where = ["--server", server] if server else ["--data-dir", str(data_dir)] if data_dir else []
    return f"{program()} {shlex.join(['tasks', 'show', task_id, '--follow', *where])}"
