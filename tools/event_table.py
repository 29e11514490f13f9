"""The table of docs/journal.md: each kind of event with its fields and what it means."""

from __future__ import annotations

import dataclasses

import app.protocol.events  # noqa: F401 - fills KINDS
from app.protocol.event_body import KINDS
from tools.markdown import table

TITLES = ("event", "always has", "may have", "meaning")


def events() -> str:
    """The kinds in the order of their classes."""
    rows = []
    for kind, cls in KINDS.items():
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # every kind is a dataclass
        always = [row for row in fields if row.default is row.default_factory is dataclasses.MISSING]
        cells = [_names(always), _names([row for row in fields if row not in always])]
        rows.append((f"`{kind}`", *cells, str(cls.__doc__).split("\n", 1)[0]))
    return table(TITLES, rows)


def _names(fields: list[dataclasses.Field[object]]) -> str:
    return ", ".join(f"`{row.metadata.get('wire', row.name)}`" for row in fields)
