"""Answers that take no waiting: they are in memory, and soon made. The server gives them itself, without a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Ready(NamedTuple):
    """An answer 200."""

    headers: list[tuple[str, str]]
    body: bytes


AtOnce = Callable[[dict[str, Any]], Ready | None]
"""The answer of a request with this environment (as `Admitted` has it), if it takes no waiting; None where the
application is to answer."""
