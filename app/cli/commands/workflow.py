"""`workflow`: test, install, verify, restart as one, drawn until it has ended; its questions are asked here."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from app.cli.api.client import Api
from app.cli.api.connection import connection, service_options
from app.cli.api.manifest_sources import SOURCES, manifest_of, source_options
from app.cli.api.own_key_files import with_own_key_files
from app.cli.api.questions import answer_option, answers_of, ask_person, is_interactive, with_terminal_defaults
from app.cli.api.watching import OUTAGE_SECONDS, POLL_SECONDS
from app.cli.api.which_home import careful, show_machine
from app.cli.commands.install import install_options, request_body, show_plan
from app.cli.commands.ssh_words import SshCommand
from app.cli.errors import EXIT_INTERRUPTED, CliError, ServiceUnreachable
from app.cli.output import put
from app.cli.view.console import Cleaned, console_on
from app.cli.view.result import EXIT_NONE_OR_FAILED, show_text
from app.cli.view.workflow_view import State, WorkflowView, changes
from app.protocol.options import OPTIONS
from app.protocol.terminal_text import one_line

EXIT_PARTIAL = 3
_STOP = "stop"


@click.command(cls=SshCommand)
@click.argument("ssh_command")
@source_options
@install_options
@click.option(
    "--review-plan", type=click.Choice(["never", "changes", "always"]), help="Show the plan before installing."
)
@answer_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON document on stdout, with the last state as its data; lines on stderr.",
)
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

    Exit status: 0 all well, 3 some packs failed, 1 failed, 2 not a command line, 130 stopped or interrupted.
    """
    ctx = click.get_current_context()
    ssh_command = with_own_key_files(ssh_command, server)
    manifest = manifest_of({name: asked.pop(name) for name in SOURCES})
    console, known = console_on(stderr=as_json), answers_of(answers)
    asked = careful(asked, ssh_command)
    asked = with_terminal_defaults(asked, known, interactive=is_interactive(console) and not as_json)
    with connection(server, data_dir) as api:
        show_machine(console, ssh_command, asked["ui_home"])
        workflow_id = api.start_workflow(_body(ssh_command, manifest, review_plan, asked))
        console.print(f"Workflow {workflow_id}", highlight=False)
        try:
            state = _follow(api, workflow_id, console, known, lines=as_json)
        except KeyboardInterrupt:
            text = f"The workflow goes on: {api.base_url}/ui/run/{workflow_id}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            ctx.exit(EXIT_INTERRUPTED)
    put(state, said=one_line((state["error"] or {}).get("message")))
    if not as_json:
        _show_end(console, state)
    ctx.exit(exit_status(state))


def exit_status(state: State) -> int:
    """0 all well, 3 some packs failed, 1 failed, 130 stopped."""
    if state["state"] == "completed":
        return EXIT_PARTIAL if any(step["status"] == "partial" for step in state["steps"]) else 0
    return EXIT_INTERRUPTED if state["state"] == "stopped" else EXIT_NONE_OR_FAILED


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


def _follow(api: Api, workflow_id: str, console: Console, known: Mapping[str, str], *, lines: bool) -> State:
    """The last state, drawn until it has ended; its questions answered between two drawings."""
    state: State = {}
    while not state or state["in_progress"]:
        if lines or not console.is_terminal or console.is_dumb_terminal:
            state = _poll(api, workflow_id, _Lines(console))
        else:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                state = _poll(api, workflow_id, _Drawn(live))
        if state["question"]:
            _answer(api, workflow_id, state["question"], console, known)
    return state


def _answer(api: Api, workflow_id: str, question: State, console: Console, known: Mapping[str, str]) -> None:
    """Answers the workflow's question, by `known` or by the person."""
    of_task = question.get("id")

    def stands() -> bool:
        now = api.workflow(workflow_id)["question"]
        return bool(now) and now.get("id") == of_task

    answer = known.get(question["code"])
    if answer is None and of_task and is_interactive(console):
        answer = ask_person(question, console, stands)
        if answer is None:
            return
    try:
        api.answer_workflow(workflow_id, answer or _answer_of(question, console), of_task)
    except CliError as exc:
        if not of_task or exc.code not in ("question_gone", "workflow_conflict"):
            raise
        show_text(console, exc.message, style="yellow")


class _Lines:
    """A line each time something changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: State | None = None

    def show(self, state: State, notice: str) -> None:
        """Write what is new."""
        for line in [*changes(self._before, state), *([notice] if notice else [])]:
            self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._before = state


class _Drawn:
    """The drawn picture on a terminal."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, state: State, notice: str) -> None:
        """Draw it."""
        self._live.update(Cleaned(WorkflowView(state, notice)), refresh=True)


def _poll(api: Api, workflow_id: str, display: _Lines | _Drawn) -> State:
    """The state when the workflow has ended, or asks something."""
    state: State = {}
    heard, pause, troubled = time.monotonic(), threading.Event(), False
    while not state or (state["in_progress"] and not state["question"]):
        try:
            state = api.workflow(workflow_id)
            heard, troubled = time.monotonic(), False
            display.show(state, "")
        except ServiceUnreachable as exc:
            if time.monotonic() - heard > OUTAGE_SECONDS or not state:
                raise
            if not troubled:
                display.show(state, f"{exc.message} Trying again.")
            troubled = True
        if state["in_progress"] and not state["question"]:
            pause.wait(POLL_SECONDS)
    return state


def _answer_of(question: State, console: Console) -> str:
    """Asks the person. Where nobody can answer the workflow is stopped: it must not wait for ever."""
    show_text(console, one_line(question["text"]), style="bold yellow")
    show_text(console, one_line(question["hint"]))
    show_plan(console, question["facts"].get("plan") or [])
    if question["facts"].get("shown_sha256"):
        show_text(console, one_line(question["facts"]["shown_sha256"]))
    answers = {item["answer"]: item["label"] for item in question["answers"]}
    if not console.is_terminal:
        raise CliError(
            f"The workflow waits for an answer: {', '.join(answers)} or {_STOP}.",
            hint="Answer on the workflow's page, or with POST /workflow/resume.",
        )
    for answer, label in answers.items():
        show_text(console, f"{one_line(answer)}: {one_line(label)}", indent=2)
    choice = click.Choice([*filter(str.isprintable, answers), _STOP])
    return str(click.prompt("Your answer", type=choice, default=_STOP, err=True))


def _show_end(console: Console, state: State) -> None:
    console.print(WorkflowView(state))
    error = state["error"]
    if error:
        show_text(console, f"{one_line(error['message'])} {one_line(error['hint'])}".strip(), style="bold red")
    else:
        text = {"completed": "Done.", "stopped": "Stopped."}.get(state["state"], "It has ended.")
        show_text(console, text, style="bold")
