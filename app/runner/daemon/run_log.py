"""The journal for people: a line in run.log for each event but the many small ones."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from app.protocol.events import Event, Kind

_LINES: Mapping[Kind, str] = {
    Kind.RUN_STARTED: "the run began: {task_id}, version {version}",
    Kind.PHASE: "phase {phase}: {status} {detail}",
    Kind.STEP: "{name}: {status} {detail}",
    Kind.WAITING: "{message}",
    Kind.NODE: "pack {name}: {state}{error}",
    Kind.REQUIREMENTS: "pack {name}: requirements {status}{error}",
    Kind.SCRIPT: "pack {name}: install.py {status}{error}",
    Kind.PACKAGES: "packages: {done} of {total}",
    Kind.WARNING: "warning ({code}): {message} {hint}",
    Kind.RUN_ENDED: "the run ended: {state}{error}",
}


class _Words(dict):  # type: ignore[type-arg]  # Python 3.9 has no dict[str, str] to inherit from
    def __missing__(self, _name: str) -> str:
        return ""


def line_of(event: Event) -> Optional[str]:
    """The event as one line of text; None for what would only fill the log."""
    form = _LINES.get(event.kind)
    if form is None:
        return None
    words = _Words({name: _word(value) for name, value in event.fields.items()})
    return " ".join(form.format_map(words).split())


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return " (%s) %s %s" % (value.get("code"), value.get("message"), value.get("hint"))
    return "" if value is None else str(value)
