"""`--workflow FILE`: the node packs that workflows need, out of whatever ComfyUI saved them in."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.errors import CliError
from app.cli.view.result import show_text
from app.protocol.registry_ref import read_registry_ref
from app.protocol.terminal_text import one_line
from app.words import word

_SKIP = "skip"


@dataclass(frozen=True)
class Answering:
    """How questions are answered: what is known already, the instance whose network may help, whether the service
    remembers the answers, and whether somebody sits there to ask."""

    known: Mapping[str, str]
    ssh_command: str | None = None
    remember: bool = False
    interactive: bool = False


def manifest_of_workflows(
    api: Api, files: Sequence[IO[bytes]], console: Console, answering: Answering
) -> dict[str, Any] | None:
    """The packs that all of these need, as a manifest; None where ComfyUI itself has everything. What is not certain is
    asked on a terminal. Raises CliError naming what has to be answered."""
    known = dict(answering.known)
    checked = [_checked(api, file, console, known, answering) for file in files]
    nodes = {_key(node): node for each in checked for node in (each["manifest"] or {}).get("nodes", [])}
    return {"nodes": list(nodes.values())} if nodes else None


def _key(node: Mapping[str, Any]) -> str:
    return str(node.get("registry_id") or node.get("repo_url")).lower()


def _checked(
    api: Api, file: IO[bytes], console: Console, known: dict[str, str], answering: Answering
) -> dict[str, Any]:
    """What one file needs, with every question answered."""
    name = one_line(getattr(file, "name", "stdin"))
    sent = api.send_workflow_file(file)
    while True:
        answers = {key: known[key] for key in known if ":" in key}
        manifest = {"workflow_file": sent["file_id"], "answers": answers}
        checked = api.check(manifest | ({"remember": True} if answering.remember else {}), answering.ssh_command)
        questions = checked["workflow"]["questions"]
        if not questions:
            break
        if not answering.interactive:
            raise _unanswered(name, questions, checked["workflow"])
        _show_problem(console, checked["workflow"])
        for question in questions:
            known[str(question["question_id"])] = _ask(console, question)
    _show(console, name, sent["kind"], checked["workflow"])
    return checked


def _show_problem(console: Console, found: Mapping[str, Any]) -> None:
    """Why more is asked than need be, where the registry could not be asked."""
    problem = found["registry"]["problem"]
    if problem:
        show_text(console, one_line(problem), style="yellow")


def _show(console: Console, name: str, kind: str, found: Mapping[str, Any]) -> None:
    """Print what a workflow needs, a line a pack with its reason."""
    needed = found["evidence"]
    show_text(console, word("workflow.needs", name=name, kind=kind, n=len(needed)))
    for each in needed:
        why = ", ".join(word(f"workflow.evidence_{evidence}", date=_day(each)) for evidence in each["evidence"])
        classes = ", ".join(map(one_line, each["classes"][:4])) + (" …" if len(each["classes"]) > 4 else "")
        version = f"@{one_line(each['version'])}" if each["from_registry"] and each["version"] else ""
        show_text(console, f"{one_line(each['name'])}{version}: {classes} ({why})", indent=2)
    for each in found["skipped"]:
        name, date = one_line(each["question_id"].partition(":")[2]), one_line(each["answered_at"][:10])
        show_text(console, word("workflow.skipped_earlier", name=name, date=date), indent=2)
    if found["core"]["too_new"]:
        names = ", ".join(map(one_line, found["core"]["too_new"][:5]))
        show_text(console, word("workflow.too_old", names=names), style="yellow")
    if found["models"]:
        show_text(console, word("workflow.models", n=len(found["models"])))


def _day(needed: Mapping[str, Any]) -> str:
    return str(needed["answered_at"] or "")[:10]


def _ask(console: Console, question: Mapping[str, Any]) -> str:
    """The person's choice: a candidate by its number, an address, or nothing of it."""
    show_text(console, word("workflow.which_pack", name=one_line(question["class"])), style="bold yellow")
    candidates = question["candidates"]
    for number, each in enumerate(candidates, 1):
        facts = [word("workflow.stars", n=each["stars"])] if each["stars"] is not None else []
        facts += [word("workflow.also_has", names=", ".join(each["also"][:3]))] if each["also"] else []
        show_text(console, f"{number}  {one_line(each['answer'])} {' · '.join(facts)}".rstrip(), indent=2)
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


workflow_option = click.option(
    "--workflow",
    "workflows",
    type=click.File("rb"),
    multiple=True,
    metavar="FILE",
    help="What this workflow needs: its JSON, or the picture, video or sound that ComfyUI saved; may be given often.",
)

remember_option = click.option(
    "--remember",
    is_flag=True,
    help="Have the service remember the answers to questions about packs: it does not ask them again.",
)
