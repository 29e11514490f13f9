"""What a row says of its node pack, as the pages say it (app/webui/static/js/run/row_words.js). Pure.

Each text comes in forms, the longest first: a narrow terminal has the longest that fits, and never a cut one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from app.protocol.amounts import rate, span
from app.protocol.states import GOOD_NODE_STATES
from app.protocol.terminal_text import one_line
from app.words import word

Node = Mapping[str, Any]
SILENT_SECONDS = 10.0
"""After so many seconds without a word, a speed or a remaining time is not shown as if it were of now."""
STANDINGS = ("ready", "problem", "failed", "working", "waiting", "skipped", "cancelled")
_BY_STATE = {"pending": "waiting", "failed": "failed", "skipped": "skipped", "cancelled": "cancelled"}


def standing_of(node: Node) -> str:
    """How the service counts a pack; of an older service, that tells only states, what they come to."""
    standing = node.get("standing") or node.get("counts_as")
    if standing in STANDINGS:
        return str(standing)
    state = str(node.get("state"))
    return _BY_STATE.get(state, "ready" if state in GOOD_NODE_STATES else "working")


def standing_word(standing: str) -> str:
    """`Ready`, `With a problem`."""
    return word(f"common.standing_{standing}")


def forms(node: Node, silence: float | None = 0.0, build: Node | None = None) -> list[str]:
    """What is done for the pack or wrong with it. `silence`: seconds since something was heard of it, None where its
    line is cut; `build`: the one that runs for it."""
    standing = standing_of(node)
    if standing == "waiting":
        return []
    if standing == "working":
        return _working(node, silence, build)
    if standing == "ready" and not node.get("error"):
        return [_ready(node)]
    error = node.get("error") or {}
    if standing == "problem" and not error:
        return [word("run.not_checked"), word("run.not_checked_title")]
    return [text for text in (one_line(error.get("message")), one_line(error.get("title"))) if text]


def fitting(texts: Sequence[str], room: int) -> str:
    """The first of the texts that fits; empty where none does."""
    return next((text for text in texts if cell_len(text) <= room), "")


def _working(node: Node, silence: float | None, build: Node | None) -> list[str]:
    state = node.get("state")
    if state == "cloning":
        return _downloading(node, silence)
    if build:
        name, detail = one_line(build.get("package")), one_line(build.get("detail"))
        short = [word("cli.building", name=name), word("cli.building_line")]
        return [word("run.building", name=name, detail=detail), *short] if detail else short
    if state == "cloned":
        return [word("run.downloaded"), word("cli.downloaded_line")]
    if state == "installing":
        return [
            word("run.script" if node.get("script_status") == "running" else "run.packages"),
            word("cli.installing"),
        ]
    return [word("run.check_comes"), word("cli.installed_line")]


def _downloading(node: Node, silence: float | None) -> list[str]:
    number = int(node.get("clone_progress") or 0)
    percent = word("run.downloading", percent=number)
    shortest = [percent, f"{number} %"]
    if silence is None:
        return shortest
    if silence > SILENT_SECONDS:
        silent = [word("run.silent", what=text, time=span(silence)) for text in shortest]
        return [*silent, word("cli.silent_line", percent=number), *shortest]
    eta, speed = node.get("eta_seconds"), rate(node.get("bytes_per_second"))
    left = word("run.time_left", time=span(eta)) if eta is not None and eta >= 1 else ""
    longest = " · ".join(filter(None, (percent, speed, left)))
    return list(dict.fromkeys([longest, " · ".join(filter(None, (percent, speed))), *shortest]))


def _ready(node: Node) -> str:
    if node.get("verified"):
        return word("run.loads_kept" if node.get("kept") else "run.loads")
    return word("run.inside" if "/" in str(node.get("folder") or "") else "run.installed")
