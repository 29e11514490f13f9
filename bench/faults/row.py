"""A row of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One case as it ended. `wrong`: what is not as it must be."""

    scenario: str
    case: str
    state: str
    code: str
    message: str
    hint: str
    imports: bool | None = None
    """Whether ComfyUI imports it, tried apart from the run; None where there is nothing to try."""
    wrong: tuple[str, ...] = ()
