"""Progress as lines, for where there is no terminal: one line each time something has changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.view.live_view import build_line, build_name
from app.protocol.amounts import clock
from app.protocol.states import GOOD_NODE_STATES
from app.protocol.terminal_text import one_line


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """What is new in `after`, a line each, with the time since the start and the overall percent in front."""
    before = before or {}
    texts: list[str] = []
    if after.get("message") != before.get("message"):
        texts.append(one_line(after.get("message")))
    stood = {step["name"]: step.get("status") for step in before.get("steps") or []}
    moved = [step for step in after.get("steps") or [] if step.get("status") != stood.get(step["name"], "pending")]
    texts += [_joined(step["name"], step.get("status"), step.get("detail")) for step in moved]
    texts += build_changes(before.get("builds") or [], after.get("builds") or [])
    seen = {node["name"]: node for node in before.get("nodes") or []}
    for node in after.get("nodes") or []:
        texts += pack_changes(seen.get(node["name"], {}), node)
    head = f"{clock(float(after.get('elapsed_seconds') or 0.0))} {float(after.get('percent') or 0.0):5.1f} %"
    return [f"{head}  {text}" for text in texts]


def build_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is new about the builds of packages: a line when one begins, and one when it has ended."""
    stood = {build["package"]: (build.get("version"), build.get("state")) for build in before}
    moved = [build for build in after if (build.get("version"), build.get("state")) != stood.get(build["package"])]
    return [_build_change(build) for build in moved if build.get("state") != "waiting"]


def _build_change(build: Mapping[str, Any]) -> str:
    if build.get("state") == "running":
        return build_line({**build, "seconds": None})
    seconds = build.get("seconds")
    return _joined(build_name(build), f"build {build.get('state')}", "" if seconds is None else clock(float(seconds)))


def pack_changes(before: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    """What is new about one pack."""
    name, texts = node["name"], []
    error = node.get("error")
    if node.get("state") != before.get("state", "pending"):
        commit = str(node.get("commit") or "")[:10] if node.get("state") in GOOD_NODE_STATES else ""
        texts.append(_joined(name, node.get("state"), commit))
    for word, key in (("requirements", "requirements_status"), ("install.py", "script_status")):
        status = node.get(key)
        if status != before.get(key, "none") and status not in ("none", "pending"):
            texts.append(_joined(name, f"{word} {status}", ""))
    if error and error != before.get("error"):
        said = " ".join(filter(None, (error.get("message"), error.get("hint"))))
        texts.append(_joined(name, error.get("code"), said))
    return texts


def _joined(name: Any, word: Any, detail: Any) -> str:
    text = f"{one_line(name)}: {one_line(word)}"
    return f"{text}: {one_line(detail)}" if detail else text
