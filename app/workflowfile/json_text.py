"""JSON as ComfyUI and its packs write it: NaN and Infinity occur, texts within texts too."""

from __future__ import annotations

import json
from typing import Any

from app.protocol.snapshot_text import decoded
from app.workflowfile.errors import TooMuch
from app.workflowfile.limits import MAX_CONTAINERS, MAX_TEXT_BYTES, MAX_TEXT_BYTES_OF_A_FILE, MAX_VALUES


class BadText(ValueError):
    """A text is no JSON; the message has its line and column."""


class Budget:
    """What may still be read of one file: many texts together take no more memory than one that is as large."""

    def __init__(self) -> None:
        self._bytes = MAX_TEXT_BYTES_OF_A_FILE
        self._containers = MAX_CONTAINERS
        self._values = MAX_VALUES

    def spend_bytes(self, count: int) -> None:
        """Raises TooMuch for a text that is too large, or where all texts are."""
        if count > MAX_TEXT_BYTES:
            raise TooMuch(f"The workflow's text has {count} bytes; at most {MAX_TEXT_BYTES} are read.")
        self._bytes -= count
        if self._bytes < 0:
            raise TooMuch(f"The texts of the file have more than {MAX_TEXT_BYTES_OF_A_FILE} bytes.")

    def spend_values(self, text: str) -> None:
        """Raises TooMuch where the values of all texts are too many."""
        self._containers -= text.count("{") + text.count("[")
        self._values -= text.count(",")
        if self._containers < 0:
            raise TooMuch(f"The workflow's text has more than {MAX_CONTAINERS} lists and objects.")
        if self._values < 0:
            raise TooMuch(f"The workflow's text has more than {MAX_VALUES} values.")


def load_text(raw: bytes | str, budget: Budget | None = None) -> Any:
    """The value of a JSON text. Raises BadText, and TooMuch for one that no workflow needs."""
    budget = budget or Budget()
    budget.spend_bytes(len(raw))
    text = decoded(raw) if isinstance(raw, bytes) else raw
    text = text.lstrip("\ufeff").rstrip("\0 \r\n\t")
    budget.spend_values(text)
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError as exc:
        raise BadText(f"line {exc.lineno}, column {exc.colno}: {exc.msg}") from None
    except (ValueError, RecursionError):
        raise BadText("it is nested too deep, or has a number with too many digits") from None
