"""Each page's styles in two parts: what its first screen needs stands in the page itself, so that it is painted without
another answer; the rest of the sheet is linked at its end, and stays in the browser.

The policy allows what stands in a page by its hash, and no other inline style.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "static" / "css"
_EVERY_PAGE = ("tokens", "base", "components", "shell")
SHEETS = (*_EVERY_PAGE, "start", "docs", "lists", "fleet", "run", "log", "tabs", "status", "late")
"""The parts of the sheet, in the order in which they stand in it."""
_OWN: Mapping[str, tuple[str, ...]] = {
    "start": ("start",),
    "run": ("run",),
    "runs": ("lists",),
    "machines": ("lists",),
    "compare": ("lists",),
    "fleet": ("start", "lists", "fleet"),
    "docs": ("docs",),
    "status": ("status",),
    "problem": (),
}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BREAK = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Styles:
    """`first`: what stands in the page; `digest`: of it, as a policy names it; `rest`: what is linked."""

    first: str
    digest: str
    rest: str


def styles() -> dict[str, Styles]:
    """By page."""
    parts = {name: _small((FOLDER / f"{name}.css").read_text("utf-8")) for name in SHEETS}
    return {page: _of({*_EVERY_PAGE, *own}, parts) for page, own in _OWN.items()}


def _of(first_parts: set[str], parts: Mapping[str, str]) -> Styles:
    first = "".join(text for name, text in parts.items() if name in first_parts)
    rest = "".join(text for name, text in parts.items() if name not in first_parts)
    digest = base64.b64encode(hashlib.sha256(first.encode()).digest()).decode()
    return Styles(first, f"sha256-{digest}", rest)


def _small(sheet: str) -> str:
    return _BREAK.sub(" ", _COMMENT.sub("", sheet)).strip() + "\n"
