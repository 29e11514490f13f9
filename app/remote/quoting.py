"""Quotes arguments for a remote shell. No other module does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def quote_command(argv: Sequence[str]) -> str:
    """Turns `argv` into one line for the instance's login shell. Every argument arrives unchanged, with line breaks.

    Raises ValueError for an empty command, and for NUL and lone surrogates, which no command line can carry.
    """
    if not argv:
        raise ValueError("an empty command")
    for argument in argv:
        if "\0" in argument:
            raise ValueError("an argument with NUL in it")
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise ValueError("an argument that is not valid Unicode")
    return shlex.join(argv)
