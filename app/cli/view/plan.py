"""A plan: what would be cloned, and which packages would change from what to what. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from app.cli.output import EXIT_PARTIAL
from app.cli.view.result import COMMIT_CHARS, EXIT_NONE_OR_FAILED, exit_status, sentence, show_text
from app.protocol.snapshot import BUILDS, ORIGINS
from app.protocol.terminal_text import one_line
from app.words import word

_PLANNED = "plan_only"
_AS_PLANNED = (_PLANNED, "same_repository")
_NO_PLANNER = "uv_unavailable"
Row = Mapping[str, Any]


def show_plan(console: Console, progress: Row, plan: Sequence[Row] | None) -> None:
    """Print the whole end of an install that was only to plan."""
    nodes = progress.get("nodes") or []
    if nodes and not _is_nothing(progress, plan):
        show_text(console, word("cli.plan_packs", n=len(nodes)), style="bold")
        longest = max(len(one_line(node.get("name"))) for node in nodes)
        for node in nodes:
            _show_pack(console, node, min(longest, console.width // 2))
        _show_packages(console, progress, plan)
    for warning in progress.get("warnings") or []:
        show_text(console, f"Note: {one_line(warning.get('message'))}", style="yellow")
    show_text(console, _ending(progress, plan), style="bold")


def plan_status(progress: Row) -> int:
    """0 for a whole plan, 3 where it lacks some packs, 1 where there is none."""
    if progress.get("state") != "completed":
        return exit_status(progress)
    nodes, lacking = progress.get("nodes") or [], _lacking(progress)
    if not lacking:
        return 0
    return EXIT_NONE_OR_FAILED if len(lacking) == len(nodes) else EXIT_PARTIAL


def show_changes(console: Console, plan: Sequence[Row]) -> None:
    """Print what an install would change in ComfyUI's environment, a line a package."""
    for change in plan:
        show_text(console, change_line(change))


def change_line(change: Row) -> str:
    """`numpy 2.1 -> 1.26 for was-node-suite`."""
    old = one_line(change.get("old")) or word("cli.plan_new")
    new = one_line(change.get("new")) or word("cli.plan_unbuilt" if change.get("needs_build") else "cli.plan_removed")
    wanted = ", ".join(one_line(name) for name in change.get("wanted_by") or ())
    built = f", built from {BUILDS.get(str(change.get('build')), 'its source')}" if change.get("needs_build") else ""
    place = one_line(change.get("build_from") or "")
    built += f" {place}" if place else ""
    older = f" {word('cli.plan_older')}" if change.get("downgrade") else ""
    more = f"{older}{' for ' + wanted if wanted else ''}{ORIGINS.get(str(change.get('wheel')), '')}{built}"
    return f"{one_line(change.get('package'))} {old} -> {new}{more}"


def _show_pack(console: Console, node: Row, width: int) -> None:
    """A line a pack; why it is not in the plan on lines of their own."""
    error = node.get("error") or {}
    bad = error.get("code") not in (None, _PLANNED)
    text = f"{one_line(node.get('name')):<{width}}  {_what(node)}"
    show_text(console, text, indent=2, style="red" if bad and node.get("state") == "failed" else "")
    for said in filter(None, (one_line(error.get("message")), one_line(error.get("hint")))) if bad else ():
        show_text(console, said, indent=6)


def _what(node: Row) -> str:
    error = node.get("error") or {}
    code, version = error.get("code"), one_line(node.get("version") or "")
    commit = str(node.get("commit") or "")[:COMMIT_CHARS] or version
    if node.get("state") == "failed":
        return f"{word('cli.plan_not')}: {one_line(code)}"
    if code not in (None, _PLANNED):
        return word("cli.plan_unknown", why=one_line(error.get("title") or code))
    if node.get("kept"):
        return f"{word('cli.plan_stays')} ({commit})" if commit else word("cli.plan_stays")
    if version:
        return word("cli.plan_download", version=version)
    return word("cli.plan_clone", commit=commit or "?")


def _show_packages(console: Console, progress: Row, plan: Sequence[Row] | None) -> None:
    new = [change for change in plan or () if not change.get("old")]
    others = [change for change in plan or () if change.get("old")]
    for key, changes in (("cli.plan_packages", others), ("cli.plan_new_packages", new)):
        if changes:
            show_text(console, word(key, n=len(changes)), style="bold")
        for change in changes:
            show_text(console, change_line(change), indent=2)
    if not plan:
        unknown = any(warning.get("code") == _NO_PLANNER for warning in progress.get("warnings") or [])
        show_text(console, word("cli.plan_packages_unknown" if unknown else "cli.plan_no_packages"))


def _is_nothing(progress: Row, plan: Sequence[Row] | None) -> bool:
    nodes = progress.get("nodes") or []
    kept = all(node.get("kept") for node in nodes) and not _lacking(progress)
    return bool(nodes) and kept and not plan and progress.get("state") == "completed"


def _lacking(progress: Row) -> list[Row]:
    """The packs that are not in the plan though they were asked for."""
    nodes = progress.get("nodes") or []
    return [node for node in nodes if (node.get("error") or {}).get("code") not in (None, *_AS_PLANNED)]


def _ending(progress: Row, plan: Sequence[Row] | None) -> str:
    nodes, lacking = progress.get("nodes") or [], len(_lacking(progress))
    if progress.get("state") != "completed" or not nodes:
        return sentence(progress)
    if _is_nothing(progress, plan):
        return word("cli.plan_nothing")
    if lacking == len(nodes):
        return word("cli.plan_end_none")
    return word("cli.plan_end_partly", n=lacking, total=len(nodes)) if lacking else word("cli.plan_end")
