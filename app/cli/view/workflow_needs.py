"""What workflows need, and which questions that leaves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console

from app.cli.view.result import show_text, show_whole
from app.protocol.core_needs import TOO_OLD
from app.protocol.terminal_text import one_line
from app.words import word

_MOST_CLASSES = 4
_MOST_MODELS = 40
Json = Mapping[str, Any]


def show_problem(console: Console, found: Json) -> None:
    """Why more is asked than need be, where the registry could not be asked."""
    problem = found["registry"]["problem"]
    if problem:
        show_text(console, one_line(problem), style="yellow")


def show_needs(console: Console, name: str, found: Json, *, opens: bool, skips: bool) -> None:
    """Print what workflows need: a line a pack with its reason, a line a model with its folder. `name`: of the files,
    with what they are; `opens`: also what only opens them is wanted; `skips`: a question was answered with no pack."""
    packs = [each for each in found["evidence"] if each["runs"] or opens]
    if packs:
        show_text(console, word("workflow.needs", name=name, n=len(packs)))
    else:
        is_whole = not (skips or found["skipped"])
        show_text(console, word("workflow.named_needs_nothing" if is_whole else "workflow.nothing_left", name=name))
    files = [one_line(each["name"] or "") for each in found["files"]]
    for each in packs:
        show_text(console, _because(each, files if len(files) > 1 else []), indent=2)
    for each in found["skipped"]:
        left_out, date = one_line(each["question_id"].partition(":")[2]), one_line(each["answered_at"][:10])
        show_text(console, word("workflow.skipped_earlier", name=left_out, date=date), indent=2)
    if found["only_opens"] and not opens:
        show_text(console, word("workflow.only_opens_more", n=found["only_opens"]), indent=2)
    if found.get("unreadable"):
        show_text(console, word("workflow.unreadable", n=found["unreadable"]), style="yellow")
    _show_core(console, found["core"])
    _show_models(console, found["models"])


def _show_core(console: Console, core: Json) -> None:
    """What ComfyUI itself lacks, or which one is enough."""
    for verdict in core["verdicts"]:
        said = " ".join(one_line(verdict[part]) for part in ("message", "hint") if verdict[part])
        style = "red" if verdict["certain"] else "yellow"
        show_text(console, f"{one_line(verdict['title'])}: {said}", style=style)
    if core["newer_than_known"] and core["too_new"] and not core["comfyui_version"]:
        show_text(console, word("workflow.too_old", names=_some(core["too_new"], 5)), style="yellow")
    elif core["needs"] and all(each["code"] != TOO_OLD for each in core["verdicts"]):
        show_text(console, word("workflow.needs_core", needs=one_line(core["needs"])))


def _because(each: Mapping[str, Any], files: Sequence[str]) -> str:
    day = one_line(str(each["answered_at"] or "")[:10])
    why = [word(f"workflow.evidence_{evidence}", date=day) for evidence in each["evidence"]]
    if files:
        why.append(word("workflow.in_files", names=", ".join(files[number] for number in each["files"])))
    classes = _some(each["classes"], _MOST_CLASSES)
    version = f"@{one_line(each['version'])}" if each["from_registry"] and each["version"] else ""
    return f"{one_line(each['name'])}{version}: {classes} ({', '.join(why)})"


def _show_models(console: Console, models: Sequence[Json]) -> None:
    """The address of each stands alone, so that it can be copied whole."""
    if not models:
        return
    show_text(console, word("workflow.models", n=len(models)))
    for each in models[:_MOST_MODELS]:
        folder = f"models/{one_line(each['folder'])}" if each["folder"] else word("workflow.model_no_folder")
        show_text(console, f"{one_line(each['name'])} · {folder}", indent=2)
        if each["url"]:
            show_whole(console, one_line(each["url"]), indent=4)
        else:
            show_text(console, word("workflow.model_no_url"), indent=4)
    if len(models) > _MOST_MODELS:
        show_text(console, word("workflow.and_more", n=len(models) - _MOST_MODELS).strip(), indent=2)


# -- questions ---------------------------------------------------------------------------------------------------------


def grouped(questions: Sequence[Json]) -> list[list[Json]]:
    """Questions with the same candidates together, as the pages have them; each without any alone."""
    groups: dict[tuple[str, ...], list[Json]] = {}
    for each in questions:
        answers = tuple(str(candidate["answer"]) for candidate in each["candidates"])
        groups.setdefault(answers or ("", str(each["question_id"])), []).append(each)
    return list(groups.values())


def names_of(group: Sequence[Json]) -> str:
    """The classes that a question is about."""
    return _some([each["class"] for each in group], _MOST_CLASSES)


def show_question(console: Console, group: Sequence[Json]) -> None:
    """Print a question with its candidates: what tells one from another goes on in the next line where it does not
    fit."""
    show_text(console, word("workflow.which_pack", name=names_of(group)), style="bold yellow")
    candidates = group[0]["candidates"]
    for number, each in enumerate(candidates, 1):
        address, facts = f"{number:<2} {one_line(each['answer'])}", _facts(each, alone=len(group) == 1)
        fits = cell_len(f"  {address}  {facts}") <= console.width
        show_whole(console, f"{address}  {facts}".rstrip() if fits else address, indent=2)
        if facts and not fits:
            show_text(console, facts, indent=5)
    if not candidates:
        show_text(console, what_is_known(group[0]), indent=2)


def what_is_known(question: Json) -> str:
    """Of a class that no known repository has."""
    registry_id = question["registry_id"]
    return word("workflow.only_an_id", id=one_line(registry_id)) if registry_id else word("workflow.nobody_known")


def _facts(candidate: Json, *, alone: bool) -> str:
    """What tells one candidate from another. `alone`: the question is about one class."""
    facts = [word("workflow.stars", n=candidate["stars"])] if candidate["stars"] is not None else []
    if candidate["last_update"]:
        facts.append(word("workflow.updated", date=one_line(candidate["last_update"][:10])))
    if candidate["also"] and alone:
        facts.append(word("workflow.also_has", names=_some(candidate["also"], 3)))
    return " · ".join(facts)


def _some(names: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    more = word("workflow.and_more", n=len(names) - most) if len(names) > most else ""
    return ", ".join(map(one_line, names[:most])) + more
