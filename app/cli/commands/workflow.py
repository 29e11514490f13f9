"""`workflow`: test, install, verify, restart as one, drawn until it has ended; its questions are asked here."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import click

from app.cli.api.client import Api
from app.cli.api.connection import connection, service_options
from app.cli.api.interactive_watch import WatchingEnded
from app.cli.api.manifest_sources import SOURCES, manifest_of, source_options
from app.cli.api.own_key_files import with_own_key_files
from app.cli.api.questions import answer_option, answers_of, is_interactive, with_terminal_defaults
from app.cli.api.which_home import careful, show_machine
from app.cli.api.workflow_watch import WorkflowWatch
from app.cli.commands.install import install_options
from app.cli.commands.request_body import request_body
from app.cli.commands.ssh_words import SshCommand
from app.cli.errors import EXIT_INTERRUPTED, CliError
from app.cli.output import EXIT_PARTIAL, put, with_output_options
from app.cli.program import program
from app.cli.view.console import console_on
from app.cli.view.result import EXIT_NONE_OR_FAILED, show_result, show_text
from app.cli.view.workflow_view import State
from app.protocol.options import OPTIONS
from app.protocol.terminal_text import one_line
from app.words import word

_NOT_HERE = frozenset(option.name for option in OPTIONS.values() if option.not_for_workflow)


class _WithResume(SshCommand):
    """`workflow SSH_COMMAND` starts one; `workflow resume ID` goes on with it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Of the command that is meant."""
        if args[:1] == [resume.name]:
            command = with_output_options(resume)
            return command.make_context(f"{info_name} {resume.name}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


_json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON document on stdout, with the last state as its data; lines on stderr.",
)


@click.command(cls=_WithResume)
@click.argument("ssh_command")
@source_options
@partial(install_options, hidden=_NOT_HERE)
@click.option(
    "--review-plan", type=click.Choice(["never", "changes", "always"]), help="Show the plan before installing."
)
@answer_option
@_json_option
@service_options
def workflow(
    ssh_command: str,
    *,
    review_plan: str | None,
    answers: tuple[str, ...],
    as_json: bool,
    server: str | None,
    data_dir: Path | None,
    **asked: Any,
) -> None:
    """Test the connection, install, verify, and with --restart restart ComfyUI, on the instance of SSH_COMMAND.

    `workflow resume ID` goes on watching one, and answers what it asks.

    Exit status: 0 all well, 3 some packs failed, 1 failed, 2 not a command line, 130 stopped or interrupted.
    """
    ssh_command = with_own_key_files(ssh_command, server)
    manifest = manifest_of({name: asked.pop(name) for name in SOURCES})
    console, known = console_on(stderr=as_json), answers_of(answers)
    asked = careful(asked, ssh_command)
    asked = with_terminal_defaults(asked, known, interactive=is_interactive(console) and not as_json)
    body = _body(ssh_command, manifest, review_plan, asked)
    with connection(server, data_dir) as api:
        show_machine(console, ssh_command, asked["ui_home"])
        workflow_id = api.start_workflow(body)
        console.print(f"Workflow {workflow_id}", highlight=False)
        again = _resume(workflow_id, server, data_dir)
        status = _to_its_end(WorkflowWatch(api, workflow_id, console, known, again, lines=as_json))
    click.get_current_context().exit(status)


@click.command("resume")
@click.argument("workflow_id")
@answer_option
@_json_option
@service_options
def resume(
    workflow_id: str, *, answers: tuple[str, ...], as_json: bool, server: str | None, data_dir: Path | None
) -> None:
    """Go on with a workflow: answer what it asks, by --answer or at the terminal, and watch it to its end.

    Exit status: as the workflow's.
    """
    console, known = console_on(stderr=as_json), answers_of(answers)
    with connection(server, data_dir) as api:
        again = _resume(workflow_id, server, data_dir)
        status = _to_its_end(WorkflowWatch(api, workflow_id, console, known, again, lines=as_json))
    click.get_current_context().exit(status)


def exit_status(state: State) -> int:
    """0 all well, 3 some packs failed, 1 failed, 130 stopped."""
    if state["state"] == "completed":
        return EXIT_PARTIAL if any(step["status"] == "partial" for step in state["steps"]) else 0
    return EXIT_INTERRUPTED if state["state"] == "stopped" else EXIT_NONE_OR_FAILED


def _resume(workflow_id: str, server: str | None, data_dir: Path | None) -> str:
    where = ["--server", server] if server else ["--data-dir", str(data_dir)] if data_dir else []
    return f"{program()} {shlex.join(['workflow', 'resume', workflow_id, *where])}"


def _body(ssh_command: str, manifest: Any, review_plan: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """The install's request; verifying and restarting are steps here."""
    steps = ["test_ssh", "install_custom_nodes"]
    for option in OPTIONS.values():
        given = asked.pop(option.name) if option.not_for_workflow or option.step else None
        if option.not_for_workflow and given is not None:
            hint = f"{option.not_for_workflow[:1].upper()}{option.not_for_workflow[1:]}."
            raise CliError(f"{option.flag} is for install.", hint=hint)
        if option.step and (option.default if given is None else given):
            steps.append(option.step)
    body = request_body(ssh_command, manifest, **asked)
    del body["idempotency_key"]
    return {**body, "steps": steps, **({"review_plan": review_plan} if review_plan else {})}


def _to_its_end(watch: WorkflowWatch) -> int:
    """Watch it, and print how it ended; the exit status."""
    try:
        state = watch.follow()
    except WatchingEnded:
        show_text(watch.console, word("cli.workflow_goes_on", command=watch.resume))
        return EXIT_INTERRUPTED
    put(state, said=one_line((state["error"] or {}).get("message")))
    if not watch.lines:
        _show_end(watch, state)
    return exit_status(state)


def _show_end(watch: WorkflowWatch, state: State) -> None:
    """The table of the node packs where it came to that, and the run's sentence."""
    install = watch.install_of(state)
    said = _sentence(watch.api, watch.workflow_id, state)
    if install is not None and install.get("nodes"):
        show_result(watch.console, install, last=_sentences(said))
    else:
        error = state["error"] or {}
        show_text(watch.console, _sentences(said, error.get("message"), error.get("hint")), style="bold")


def _sentence(api: Api, workflow_id: str, state: State) -> str:
    """How the run ended, in the words of the pages."""
    try:
        return str(api.run(workflow_id)["summary"]["sentence"])
    except (CliError, KeyError, TypeError):  # an older service
        return str((state["error"] or {}).get("message") or state["state"])


def _sentences(*said: object) -> str:
    """Each once, with a full stop."""
    texts = dict.fromkeys(filter(None, map(one_line, said)))
    return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in texts)
