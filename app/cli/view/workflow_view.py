"""A workflow's steps, in one line for the picture, and as lines where there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from app.cli.view.live_view import STATUS_STYLES
from app.protocol.amounts import span
from app.protocol.terminal_text import one_line
from app.words import word

State = Mapping[str, Any]
_MARKS = {"success": "✓", "partial": "!", "failed": "✗", "running": "▸", "blocked": "?", "stopped": "■", "skipped": "–"}
_STYLES = {**STATUS_STYLES, "partial": "yellow", "blocked": "bold yellow", "stopped": "yellow"}
_WORDS = {
    "test_ssh": "summary.chapter_connect",
    "install_custom_nodes": "summary.chapter_install",
    "verify_dependencies": "summary.chapter_check",
    "restart_comfyui": "summary.chapter_restart",
}


def step_name(step: State) -> str:
    """The step in the words of the pages."""
    key = _WORDS.get(str(step.get("name")))
    return word(key) if key else one_line(step.get("label"))


def steps_line(steps: Sequence[State]) -> Text:
    """`✓ Connect  ▸ Install  · Check`."""
    line = Text(no_wrap=True)
    for number, step in enumerate(steps):
        status = str(step.get("status"))
        line.append("  " if number else "")
        line.append(f"{_MARKS.get(status, '·')} {step_name(step)}", style=_STYLES.get(status, "dim"))
    return line


def as_progress(state: State, progress: State | None) -> dict[str, Any]:
    """What differs from the progress of the task that works for it: its clock is the workflow's; before there is a
    task (None), the machine is being connected."""
    steps = state.get("steps") or []
    elapsed = {"elapsed_seconds": sum(step.get("seconds") or 0.0 for step in steps)}
    if progress is not None:
        return elapsed
    going_on = [one_line(step.get("message")) for step in steps if step.get("status") in ("running", "blocked")]
    return {
        **elapsed,
        "in_progress": bool(state.get("in_progress")),
        "message": going_on[0] if going_on else "",
        "summary": {"kind": "connecting", "tone": "live", "sentence": word("summary.connecting")},
        "percent": 0.0,
    }


def changes(before: State | None, after: State) -> list[str]:
    """The steps that have ended since, a line each."""
    stood = {step["name"]: step["status"] for step in (before or {}).get("steps") or []}
    ended = [step for step in after.get("steps") or [] if step["status"] not in ("pending", "running", "blocked")]
    return [_line(step) for step in ended if step["status"] != stood.get(step["name"])]


def _line(step: State) -> str:
    said = one_line((step.get("error") or {}).get("message") or step.get("message"))
    seconds = "" if step.get("seconds") is None else f" ({span(step['seconds'])})"
    return f"{step_name(step)}: {one_line(step['status'])}{seconds}{': ' + said if said else ''}"
