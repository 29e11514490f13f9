"""The journal for people: a line in run.log for each event but the many small ones."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Type

from app.protocol.events import (
    Body,
    NodeChanged,
    PackagesProgress,
    PhaseChanged,
    RequirementsChanged,
    RunEnded,
    RunStarted,
    ScriptChanged,
    StepChanged,
    Waiting,
    Warned,
)
from app.protocol.snapshot import Problem

_LINES: Mapping[Type[Body], str] = {
    RunStarted: "the run began: {task_id}, version {version}",
    PhaseChanged: "phase {phase}: {status} {detail}",
    StepChanged: "{name}: {status} {detail}",
    Waiting: "{message}",
    NodeChanged: "pack {name}: {state}{error}",
    RequirementsChanged: "pack {name}: requirements {status}{error}",
    ScriptChanged: "pack {name}: install.py {status}{error}",
    PackagesProgress: "packages: {done} of {total}",
    Warned: "warning ({code}): {message} {hint}",
    RunEnded: "the run ended: {state}{error}",
}


def line_of(body: Body) -> Optional[str]:
    """The event as one line of text; None for what would only fill the log."""
    form = _LINES.get(type(body))
    if form is None:
        return None
    return " ".join(form.format_map({name: _word(value) for name, value in vars(body).items()}).split())


def _word(value: Any) -> str:
    if isinstance(value, Problem):
        return " (%s) %s %s" % (value.code, value.message, value.hint)
    return "" if value is None else str(value)
