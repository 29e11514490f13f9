"""Progress as lines, for where there is no terminal: one line each time something has changed. Pure.

A line says the time since the start, the percent, and one thing: short, in the words of the pages, and never again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.view import head
from app.cli.view.head import Place
from app.cli.view.live_view import build_forms, build_name
from app.cli.view.row_words import forms, standing_of, standing_word
from app.protocol.amounts import clock
from app.protocol.task_list import CONFIGURE_VENV, CONNECT, CUSTOM_NODES, VERIFY
from app.protocol.terminal_text import one_line
from app.words import word

_COMMIT_CHARS = 10
_TOLD_OTHERWISE = (CUSTOM_NODES, VERIFY)
"""Steps that are the sum of the packs: the packs' own lines and the run's sentence say it."""
_FOUND = {CONNECT: "start.connected", CONFIGURE_VENV: "start.fact_python"}
_WAITS = ("queued", "waiting_for_machine", "cut", "stopping")
_ENDED = ("ready", "problem", "failed", "skipped", "cancelled")


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """What is new in `after`, a line each, with the time since the start and the overall percent in front."""
    before = before or {}
    texts = step_changes(before.get("steps") or [], after.get("steps") or []) + stage_changes(before, after)
    texts += build_changes(before.get("builds") or [], after.get("builds") or [])
    seen = {node["name"]: node for node in before.get("nodes") or []}
    for node in after.get("nodes") or []:
        texts += pack_changes(seen.get(node["name"], {}), node)
    return [at(after, text) for text in texts]


def at(progress: Mapping[str, Any], text: str) -> str:
    """A line with the time and the percent of this progress."""
    elapsed, percent = float(progress.get("elapsed_seconds") or 0.0), float(progress.get("percent") or 0.0)
    return f"{clock(elapsed)} {percent:5.1f} %  {text}"


def place_line(place: Place) -> str:
    """Where it works."""
    return word("cli.place_line", machine=one_line(place.machine), folder=one_line(place.folder))


def stage_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What the run does now, or waits for, where that is something else than before. Its end is told by its result."""
    if not after.get("in_progress") or _stage(before) == _stage(after):
        return []
    failed = word("summary.live_failed", sentence="", failed=after.get("failed") or 0)
    said = head.sentence(after).removesuffix(failed)
    why = one_line(after.get("message"))
    return [f"{said}: {why}" if head.kind_of(after) in _WAITS and why and why != said else said]


def _stage(progress: Mapping[str, Any]) -> tuple[object, ...]:
    kind, code = head.kind_of(progress), progress.get("message_code")
    asked = [each.get("id") for each in progress.get("questions") or [] if each.get("answer") is None]
    going_on = progress.get("phase") if kind in ("", "working") else ""
    known = going_on == "clone" and bool(progress.get("nodes"))
    return kind, code, going_on, known, *asked[:1]


def step_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps that have ended since, with what they found."""
    stood = {step["name"]: step.get("status") for step in before}
    told = []
    for step in after:
        name, status = step["name"], step.get("status")
        if name not in _TOLD_OTHERWISE and status in ("success", "failed") and status != stood.get(name):
            well = status == "success" and name in _FOUND
            told.append(_joined(word(_FOUND[name]) if well else f"{name}: {status}", step.get("detail")))
    return told


def build_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is new about the builds of packages: a line when one begins, and one when it has ended."""
    stood = {build["package"]: (build.get("version"), build.get("state")) for build in before}
    moved = [build for build in after if (build.get("version"), build.get("state")) != stood.get(build["package"])]
    return [_build_change(build) for build in moved if build.get("state") != "waiting"]


def _build_change(build: Mapping[str, Any]) -> str:
    if build.get("state") == "running":
        return build_forms({**build, "seconds": None})[0]
    seconds = build.get("seconds")
    return _joined(build_name(build), f"build {build.get('state')}", "" if seconds is None else clock(float(seconds)))


def _is_fetched(node: Mapping[str, Any]) -> bool:
    """A pack of the registry has no commit."""
    return bool(node.get("commit")) or bool(node.get("version") and "cloned" in (node.get("timeline") or {}))


def pack_changes(before: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    """What is new about one pack: it is downloaded, it is there, how it ended and why."""
    name, texts = node["name"], []
    stood, standing = standing_of(before) if before else "waiting", standing_of(node)
    error, known = node.get("error") or {}, before.get("error") or {}
    if node.get("state") == "cloning" and before.get("state") != "cloning":
        texts.append(_joined(name, word("cli.downloading_line")))
    if _is_fetched(node) and not _is_fetched(before) and not node.get("kept"):
        what = str(node.get("commit") or "")[:_COMMIT_CHARS] or one_line(node.get("version") or "")
        texts.append(_joined(name, word("cli.downloaded_line"), what))
    if error.get("code") == "plan_only":  # what is asked for is no news of each pack
        return texts
    moved = standing != stood and standing in _ENDED
    if moved or (error and error != known):
        said = " ".join(one_line(error.get(key)) for key in ("message", "hint") if error.get(key))
        texts.append(_joined(name, standing_word(standing), f"{one_line(error.get('code'))}: {said}" if error else ""))
    if moved and standing == "problem" and not error:
        texts[-1] = _joined(name, standing_word(standing), forms(node)[0])
    return texts


def _joined(*parts: Any) -> str:
    return ": ".join(filter(None, map(one_line, parts)))
