"""The entries of custom_nodes that this run does not import, since an import would run what is refused."""

from __future__ import annotations

from typing import Set

from app.runner.context import Context


def withheld(context: Context) -> Set[str]:
    """Their names; may be added to, from any thread."""
    found = context.shared.setdefault("withheld", set())
    assert isinstance(found, set)
    return found
