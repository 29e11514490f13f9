"""JSON as the runner writes it."""

from __future__ import annotations

import json


def json_line(value: object) -> bytes:
    """One line, without its end."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")
