"""Several entries of a list that are wrong: one error, which names the first of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.errors import InvalidRequest

MOST_WRONG = 20
"""Entries that an error names."""


def all_wrong(wrong: Sequence[InvalidRequest]) -> InvalidRequest:
    """The error of the first, with the others."""
    first, more = wrong[0], len(wrong) - 1
    if not more:
        return first
    entries = f"{more} more entries are wrong" if more > 1 else "One more entry is wrong"
    error = type(first)(f"{first.message} {entries}.", hint=first.hint, field=first.field, code=first.code)
    error.wrong_entries = tuple({"field": str(each.field), "message": each.message} for each in wrong[:MOST_WRONG])
    return error
