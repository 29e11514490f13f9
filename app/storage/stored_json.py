"""JSON that is text already, for whoever makes it piece by piece."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

dumps = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""A value's JSON, as the database has it."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """The value of a JSON column, as `dumps` would write it."""

    text: str


def to_json(value: Any) -> str:
    """What the database layer writes into a JSON column."""
    return value.text if isinstance(value, JsonText) else dumps(value)
