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
from app.protocol.registry_ref import read_registry_ref
from app.protocol.terminal_text import one_line
from app.words import word

_SKIP = "skip"
_MOST_CLASSES = 4
_MOST_MODELS = 40
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
            raise _unanswered(name, questions, checked["workflow"])
        _show_problem(console, checked["workflow"])
        for question in questions:
            known[str(question["question_id"])] = _ask(console, question)
    found = checked["workflow"]
    if not checked["nodes"] and not found["skipped"] and _SKIP not in known.values():
        show_text(console, word("workflow.named_needs_nothing", name=name))
    _show(console, name, kind, found, needed=asked.needed)
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
        raise lost[0][1]
    for name, error in lost:
        show_text(console, word("workflow.file_lost", name=name, why=one_line(error.message)), style="yellow")
    return sent


def _show_problem(console: Console, found: Mapping[str, Any]) -> None:
    """Why more is asked than need be, where the registry could not be asked."""
    problem = found["registry"]["problem"]
    if problem:
        show_text(console, one_line(problem), style="yellow")


def _show(console: Console, name: str, kind: str, found: Mapping[str, Any], *, needed: str) -> None:
    """Print what workflows need: a line a pack with its reason, a line a model with its folder."""
    packs = [each for each in found["evidence"] if each["runs"] or needed == "open"]
    if packs:
        show_text(console, word("workflow.needs", name=name, kind=kind, n=len(packs)))
    files = [one_line(each["name"] or "") for each in found["files"]]
    for each in packs:
        show_text(console, _because(each, files if len(files) > 1 else []), indent=2)
    for each in found["skipped"]:
        name, date = one_line(each["question_id"].partition(":")[2]), one_line(each["answered_at"][:10])
        show_text(console, word("workflow.skipped_earlier", name=name, date=date), indent=2)
    if found["only_opens"] and needed != "open":
        show_text(console, word("workflow.only_opens_more", n=found["only_opens"]), indent=2)
    core = found["core"]
    if core["too_new"]:
        names = ", ".join(map(one_line, core["too_new"][:5]))
        key = "workflow.too_old_needs" if core["needs"] else "workflow.too_old"
        show_text(console, word(key, names=names, needs=one_line(core["needs"] or "")), style="yellow")
    elif core["needs"]:
        show_text(console, word("workflow.needs_core", needs=one_line(core["needs"])))
    _show_models(console, found["models"])


def _because(each: Mapping[str, Any], files: Sequence[str]) -> str:
    day = one_line(str(each["answered_at"] or "")[:10])
    why = [word(f"workflow.evidence_{evidence}", date=day) for evidence in each["evidence"]]
    if files:
        why.append(word("workflow.in_files", names=", ".join(files[number] for number in each["files"])))
    more = " …" if len(each["classes"]) > _MOST_CLASSES else ""
    classes = ", ".join(map(one_line, each["classes"][:_MOST_CLASSES])) + more
    version = f"@{one_line(each['version'])}" if each["from_registry"] and each["version"] else ""
    return f"{one_line(each['name'])}{version}: {classes} ({', '.join(why)})"


def _show_models(console: Console, models: Sequence[Mapping[str, Any]]) -> None:
    if not models:
        return
    show_text(console, word("workflow.models", n=len(models)))
    for each in models[:_MOST_MODELS]:
        folder = f"models/{one_line(each['folder'])}" if each["folder"] else word("workflow.model_no_folder")
        url = one_line(each["url"]) if each["url"] else word("workflow.model_no_url")
        show_text(console, f"{one_line(each['name'])} · {folder} · {url}", indent=2)
    if len(models) > _MOST_MODELS:
        show_text(console, word("workflow.and_more", n=len(models) - _MOST_MODELS).strip(), indent=2)


def _day(needed: Mapping[str, Any]) -> str:
    return str(needed["answered_at"] or "")[:10]


def _ask(console: Console, question: Mapping[str, Any]) -> str:
    """The person's choice: a candidate by its number, an address, or nothing of it."""
    show_text(console, word("workflow.which_pack", name=one_line(question["class"])), style="bold yellow")
    candidates = question["candidates"]
    for number, each in enumerate(candidates, 1):
        show_text(console, f"{number}  {one_line(each['answer'])} {_facts(each)}".rstrip(), indent=2)
    if not candidates:
        show_text(console, _unknown(question), indent=2)
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


def _facts(candidate: Mapping[str, Any]) -> str:
    """What tells one candidate from another."""
    facts = [word("workflow.stars", n=candidate["stars"])] if candidate["stars"] is not None else []
    if candidate["last_update"]:
        facts.append(word("workflow.updated", date=one_line(candidate["last_update"][:10])))
    if candidate["also"]:
        facts.append(word("workflow.also_has", names=", ".join(map(one_line, candidate["also"][:3]))))
    return " · ".join(facts)


def _unknown(question: Mapping[str, Any]) -> str:
    """What is known of a class that no known repository has."""
    registry_id = question["registry_id"]
    return word("workflow.only_an_id", id=one_line(registry_id)) if registry_id else word("workflow.nobody_known")


def _unanswered(name: str, questions: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> CliError:
    lines = []
    for each in questions[:10]:
        candidates = " or ".join(str(other["answer"]) for other in each["candidates"][:3])
        lines.append(f"{one_line(each['class'])}: {one_line(candidates) if candidates else _unknown(each)}")
    lines += [one_line(found["registry"]["problem"])] if found["registry"]["problem"] else []
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
