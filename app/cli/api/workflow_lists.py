"""`--workflow FILE`: the node packs that workflows need, out of whatever ComfyUI saved them in."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import IO, Any

import click
from rich.console import Console

from app.cli.api.client import Api
from app.cli.errors import CliError
from app.cli.view.result import show_text
from app.protocol.terminal_text import one_line
from app.words import word
from app.workflowfile.several import MAX_FILES

_SKIP = "skip"


def request_of_workflows(
    api: Api, files: Sequence[IO[bytes]], console: Console, answers: Mapping[str, str], *, interactive: bool
) -> dict[str, Any] | None:
    """The packs that all of these need, as a request's `manifest`, and the files' ids; None where ComfyUI itself has
    everything. What is not certain is asked on a terminal. Raises CliError naming what has to be answered."""
    known = dict(answers)
    checked = [_checked(api, file, console, known, interactive=interactive) for file in files]
    nodes = {str(node["repo_url"]): node for each in checked for node in (each["manifest"] or {}).get("nodes", [])}
    if not nodes:
        return None
    ids = [str(each["file_id"]) for each in checked[:MAX_FILES]]
    return {"manifest": {"nodes": list(nodes.values())}, "workflow_files": ids}


def _checked(
    api: Api, file: IO[bytes], console: Console, known: dict[str, str], *, interactive: bool
) -> dict[str, Any]:
    """What one file needs, with every question answered."""
    name = one_line(getattr(file, "name", "stdin"))
    sent = api.send_workflow_file(file, PurePath(name).name if name not in ("-", "stdin", "<stdin>") else None)
    while True:
        manifest = {"workflow_file": sent["file_id"], "answers": {key: known[key] for key in known if ":" in key}}
        checked = api.check(manifest)
        questions = checked["workflow"]["questions"]
        if not questions:
            break
        if not interactive:
            raise _unanswered(name, questions)
        for question in questions:
            known[str(question["question_id"])] = _ask(console, question)
    _show(console, name, sent["kind"], checked["workflow"])
    return {**checked, "file_id": sent["file_id"]}


def _show(console: Console, name: str, kind: str, found: Mapping[str, Any]) -> None:
    """Print what a workflow needs, a line a pack with its reason."""
    needed = found["evidence"]
    show_text(console, word("workflow.needs", name=name, kind=kind, n=len(needed)))
    for each in needed:
        why = ", ".join(word(f"workflow.evidence_{evidence}") for evidence in each["evidence"])
        classes = ", ".join(map(one_line, each["classes"][:4])) + (" …" if len(each["classes"]) > 4 else "")
        show_text(console, f"{one_line(each['name'])}: {classes} ({why})", indent=2)
    if found["core"]["too_new"]:
        names = ", ".join(map(one_line, found["core"]["too_new"][:5]))
        show_text(console, word("workflow.too_old", names=names), style="yellow")
    if found["models"]:
        show_text(console, word("workflow.models", n=len(found["models"])))


def _ask(console: Console, question: Mapping[str, Any]) -> str:
    """The person's choice: a candidate by its number, an address, or nothing of it."""
    show_text(console, word("workflow.which_pack", name=one_line(question["class"])), style="bold yellow")
    candidates = question["candidates"]
    for number, each in enumerate(candidates, 1):
        facts = [word("workflow.stars", n=each["stars"])] if each["stars"] is not None else []
        facts += [word("workflow.also_has", names=", ".join(each["also"][:3]))] if each["also"] else []
        show_text(console, f"{number}  {one_line(each['repo_url'])} {' · '.join(facts)}".rstrip(), indent=2)
    if not candidates:
        show_text(console, _unknown(question), indent=2)
    while True:
        console.print(f"{word('workflow.your_pack')}: ", end="", markup=False, highlight=False)
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        said = line.strip()
        if said.isdecimal() and 0 < int(said[:4]) <= len(candidates):
            return str(candidates[int(said[:4]) - 1]["repo_url"])
        if said == _SKIP or "/" in said:
            return said


def _unknown(question: Mapping[str, Any]) -> str:
    """What is known of a class that no known repository has."""
    registry_id = question["registry_id"]
    return word("workflow.only_an_id", id=one_line(registry_id)) if registry_id else word("workflow.nobody_known")


def _unanswered(name: str, questions: Sequence[Mapping[str, Any]]) -> CliError:
    lines = []
    for each in questions[:10]:
        candidates = " or ".join(str(found["repo_url"]) for found in each["candidates"][:3])
        lines.append(f"{one_line(each['class'])}: {one_line(candidates) if candidates else _unknown(each)}")
    first = one_line(questions[0]["question_id"])
    return CliError(
        f"It is not certain which node packs {name} needs. " + "; ".join(line.rstrip(".") for line in lines) + ".",
        hint=f'Answer each, for example: --answer "{first}=https://github.com/owner/name", or {_SKIP} in its place.',
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
