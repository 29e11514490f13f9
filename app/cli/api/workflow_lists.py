"""`--workflow FILE` and `--template NAME`: the node packs that workflows need, as a manifest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, Any, TypeVar

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.errors import CliError
from app.cli.view.result import show_text
from app.cli.view.workflow_needs import grouped, names_of, show_needs, show_problem, show_question, what_is_known
from app.protocol.registry_ref import read_registry_ref
from app.protocol.terminal_text import one_line
from app.words import word

_SKIP = "skip"
_MOST_NAMED = 10
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line names: files, or a template; whether also what only opens them, and whether no list is
    wanted."""

    files: Sequence[IO[bytes]] = ()
    template: str | None = None
    needed: str = "run"
    check_only: bool = False

    @property
    def option(self) -> str | None:
        """The option that was given. Raises CliError for both."""
        if self.template and self.files:
            raise CliError("--template and --workflow cannot be used together.", hint="Install one after the other.")
        if self.check_only and not (self.template or self.files):
            raise CliError("--check-only is about a workflow.", hint="Name it: --workflow FILE, or --template NAME.")
        return "--template" if self.template else "--workflow" if self.files else None


@dataclass(slots=True)
class _Sent:
    """What the service keeps of the files: their ids, names and kinds."""

    ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answering:
    """How questions are answered: what is known already, the instance whose network may help, whether the service
    remembers the answers, and whether somebody sits there to ask."""

    known: Mapping[str, str]
    ssh_command: str | None = None
    remember: bool = False
    interactive: bool = False


def manifest_of_workflows(
    api: Api, asked: Asked, console: Console, answering: Answering
) -> tuple[dict[str, Any], bool]:
    """The workflows as a manifest, with every question answered, and whether it has any node pack to install. What is
    not certain is asked on a terminal. Raises CliError naming what has to be answered."""
    manifest, name, kind = _source(api, asked, console)
    if asked.check_only:
        return manifest, False
    known = {key: answer for key, answer in answering.known.items() if ":" in key}
    more = {"needed": asked.needed, **({"remember": True} if answering.remember else {})}
    while True:
        manifest = {**manifest, **more, "answers": known}
        checked = api.check(manifest, answering.ssh_command)
        questions = checked["workflow"]["questions"]
        if not questions:
            break
        if not answering.interactive:
            raise _unanswered(name, questions, checked["workflow"]["problem"])
        show_problem(console, checked["workflow"])
        for group in grouped(questions):
            answer = _ask(console, group)
            known |= {str(question["question_id"]): answer for question in group}
    skips = _SKIP in known.values()
    show_needs(console, f"{name} ({kind})", checked["workflow"], opens=asked.needed == "open", skips=skips)
    return manifest, bool(checked["manifest"])


def _source(api: Api, asked: Asked, console: Console) -> tuple[dict[str, Any], str, str]:
    """The manifest's own part, what it is called, and its kind."""
    if asked.template:
        return {"template": asked.template}, one_line(asked.template), word("workflow.official_template")
    sent = _send(api, asked.files, console)
    return {"workflow_file": sent.ids}, ", ".join(sent.names), ", ".join(dict.fromkeys(sent.kinds))


def _send(api: Api, files: Sequence[IO[bytes]], console: Console) -> _Sent:
    """Sends each file. One that cannot be read is named, and loses no other; raises CliError where none can."""
    sent, lost = _Sent(), []
    for file in files:
        name = one_line(getattr(file, "name", "stdin"))
        try:
            answer = api.send_workflow_file(file, PurePath(name).name)
        except CliError as exc:
            if not exc.code.startswith("workflow_file"):
                raise
            lost.append((name, exc))
            continue
        sent.ids.append(str(answer["file_id"]))
        sent.names.append(name)
        sent.kinds.append(one_line(answer["kind"]))
    if lost and not sent.ids:
        lost[0][1].hint = ""  # the message itself says what to take instead
        raise lost[0][1]
    for name, error in lost:
        show_text(console, word("workflow.file_lost", name=name, why=one_line(error.message)), style="yellow")
    return sent


def _ask(console: Console, group: Sequence[Mapping[str, Any]]) -> str:
    """The person's choice for classes of one pack: a candidate by its number, another pack, or nothing of it."""
    show_question(console, group)
    candidates = group[0]["candidates"]
    while True:
        console.print(f"{word('workflow.your_pack')}: ", end="", markup=False, highlight=False)
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        said = line.strip()
        if said.isdecimal() and 0 < int(said[:4]) <= len(candidates):
            return str(candidates[int(said[:4]) - 1]["answer"])
        if said == _SKIP or "/" in said or read_registry_ref(said) is not None:
            return said


def _unanswered(name: str, questions: Sequence[Mapping[str, Any]], problem: str | None) -> CliError:
    groups = grouped(questions)
    lines = []
    for group in groups[:_MOST_NAMED]:
        candidates = " or ".join(str(other["answer"]) for other in group[0]["candidates"][:3])
        lines.append(f"{names_of(group)}: {one_line(candidates) if candidates else what_is_known(group[0])}")
    more = len(groups) - _MOST_NAMED
    lines += [word("workflow.and_more", n=more).strip()] if more > 0 else []
    lines += [one_line(problem)] if problem else []
    first = one_line(questions[0]["question_id"])
    return CliError(
        f"It is not certain which node packs {name} needs. " + "; ".join(line.rstrip(".") for line in lines) + ".",
        hint=f'Answer each, for example: --answer "{first}=https://github.com/owner/name", '
        f"an id of ComfyUI's registry, or {_SKIP} in its place.",
        code="manifest_has_questions",
    )


def workflow_options(command: _F) -> _F:
    """The options that name workflows."""
    for option in (
        click.option(
            "--remember",
            is_flag=True,
            help="Have the service remember the answers to questions about packs: it does not ask them again.",
        ),
        click.option(
            "--needed",
            type=click.Choice(["run", "open"]),
            default="run",
            help="Of a workflow: the packs that it needs to run, or also those that only open it without red nodes.",
        ),
        click.option(
            "--check-only",
            is_flag=True,
            help="Install nothing: ask the ComfyUI that runs there whether the workflow is ready. Exit status 0 ready, "
            "1 not ready, 3 not known.",
        ),
        click.option(
            "--template", metavar="NAME", help="What this official template of ComfyUI needs; the page lists them."
        ),
        click.option(
            "--workflow",
            "workflows",
            type=click.File("rb"),
            multiple=True,
            metavar="FILE",
            help="What this workflow needs: its JSON, or the picture, video or sound that ComfyUI saved; may be given "
            "often.",
        ),
    ):
        command = option(command)
    return command
