"""The table of the settings, for `tools.docs_tables`: docs/settings.md."""

from __future__ import annotations

import json

from app.protocol.amounts import size
from app.settings import Settings
from tools.markdown import table

_FOUND_OUT = {"data_dir": "`nodeferry` in the user's data folder", "max_running": "what fits this machine"}


def settings() -> str:
    """Every setting: its name, its default, what it means."""
    rows = [
        [f"`{name}`", _default(name, field.default), " ".join((field.description or "").split())]
        for name, field in Settings.model_fields.items()
    ]
    return table(["setting", "default", "meaning"], rows)


def _default(name: str, value: object) -> str:
    if name in _FOUND_OUT:
        return _FOUND_OUT[name]
    if value in ("", ()):
        return "–"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if name.endswith("_bytes") and isinstance(value, int):
        return f"`{value}` ({size(value)})"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
