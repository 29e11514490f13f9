"""JSON as ComfyUI and its packs write it: NaN and Infinity occur, texts within texts too."""

from __future__ import annotations

import json
from typing import Any

from app.protocol.snapshot_text import decoded
from app.workflowfile.errors import TooMuch
from app.workflowfile.limits import MAX_CONTAINERS, MAX_TEXT_BYTES


class BadText(ValueError):
    """A text is no JSON; the message has its line and column."""


def load_text(raw: bytes | str) -> Any:
    """The value of a JSON text. Raises BadText, and TooMuch for one that no workflow needs."""
    if len(raw) > MAX_TEXT_BYTES:
        raise TooMuch(f"The workflow's text has {len(raw)} bytes; at most {MAX_TEXT_BYTES} are read.")
    text = (decoded(raw) if isinstance(raw, bytes) else raw).lstrip("\ufeff").rstrip("\0 \r\n\t")
    if text.count("{") + text.count("[") > MAX_CONTAINERS:
        raise TooMuch(f"The workflow's text has more than {MAX_CONTAINERS} lists and objects.")
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError as exc:
        raise BadText(f"line {exc.lineno}, column {exc.colno}: {exc.msg}") from None
    except (ValueError, RecursionError):
        raise BadText("it is nested too deep, or has a number with too many digits") from None
