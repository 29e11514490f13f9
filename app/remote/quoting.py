"""Quotes arguments for a remote shell, whichever the account has. No other module does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_DIFFERS = re.compile(r"[\n\r!\\]|(?:^| )[=%]")
"""What csh (line breaks, `!`), fish (backslashes) and zsh (`=` at a word's begin) read in another way than sh."""

_ESCAPED = {ord(character): f"\\0{ord(character):03o}" for character in "\n\r!\\'"}
"""As `printf %b` reads it."""


def quote_command(argv: Sequence[str]) -> str:
    """Turns `argv` into one line for the instance's login shell. Every argument arrives unchanged, with line breaks.

    The shell may be sh, bash, zsh, csh, tcsh or fish: what they read differently is written in escapes, which sh reads.
    Raises ValueError for an empty command, and for NUL and lone surrogates, which no command line can carry.
    """
    if not argv:
        raise ValueError("an empty command")
    for argument in argv:
        if "\0" in argument:
            raise ValueError("an argument with NUL in it")
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise ValueError("an argument that is not valid Unicode")
    line = shlex.join(argv)
    if not _DIFFERS.search(line):
        return line
    return f"exec sh -c 'eval \"$(printf %b \"$1\")\"' sh '{f'exec {line}'.translate(_ESCAPED)}'"
